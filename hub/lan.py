"""A hub in the network of a phone: its address there, and a certificate and token for one run."""

import io
import secrets
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, socket
from tempfile import TemporaryDirectory

import segno
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hub.jobs import keep_token, revoke_token
from zk.errors import CircuitError

TOKEN = "--lan"  # the name of the token in the link
HTTPS = 443  # the port that browsers leave out
ELSEWHERE = ("192.0.2.1", 9)  # an address of no machine, which shows the way out of this one
MONTH = timedelta(days=30)


@dataclass(frozen=True)
class Phones:
    """The only origin at which a hub serves phones, its TLS, and what its user must know."""

    origin: str
    tls: ssl.SSLContext
    notes: list[str]


@contextmanager
def phones(address: str, port: int, database: str) -> Iterator[Phones]:
    """Let phones use the hub of a database until the context ends.

    On a terminal, the notes have a link with a token. Other outputs may be kept, and have none.
    """
    origin = f"https://{address}" if port == HTTPS else f"https://{address}:{port}"
    tls, fingerprint = certified(address)
    notes = [f"browsers warn of its certificate, whose SHA-256 is {fingerprint}"]
    if not sys.stdout.isatty():
        yield Phones(origin, tls, notes)
        return
    token = secrets.token_urlsafe(32)
    keep_token(database, TOKEN, token)
    link = f"{origin}/#token/{token}"
    notes += ["on a phone, open this link, with which anyone can use the hub:", link, _code(link)]
    try:
        yield Phones(origin, tls, notes)
    finally:
        revoke_token(database, TOKEN)


def _code(link: str) -> str:
    """The QR code of a link, in white on black on any terminal."""
    code = io.StringIO()
    segno.make(link, error="l").terminal(code, compact=True)
    return "\n".join(f"\x1b[97;40m{line}\x1b[0m" for line in code.getvalue().splitlines())


def lan_address() -> str:
    """This machine's address in its private network."""
    with socket(AF_INET, SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE)  # sends nothing
            address: str = probe.getsockname()[0]
        except OSError:
            raise CircuitError(
                "This machine is in no network: connect it to the phone's, or leave out --lan."
            ) from None
    return required_private(address)


def required_private(address: str) -> str:
    """An address that the internet does not reach; others are refused."""
    if not ip_address(address).is_private:
        raise CircuitError(
            f"{address} is not in a private network, which --lan needs: use --host, and a server "
            "with TLS in front of the hub."
        )
    return address


def certified(address: str) -> tuple[ssl.SSLContext, str]:
    """TLS with a new certificate for this address, and the certificate's SHA-256.

    The files exist only while they are read.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _signed(key, address)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory(prefix="verdict-") as folder:
        path = Path(folder) / "certificate.pem"
        path.touch(0o600, exist_ok=False)
        path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        tls.load_cert_chain(path)
    return tls, certificate.fingerprint(SHA256()).hex(":").upper()


def _signed(key: ec.EllipticCurvePrivateKey, address: str) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Verdict hub")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # a phone's clock may be late
        .not_valid_after(now + MONTH)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .sign(key, SHA256())
    )
