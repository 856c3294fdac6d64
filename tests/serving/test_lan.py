"""A hub in the network of a phone: the machine's address, and a certificate for one run."""

import os
import ssl
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from hub import lan
from hub.jobs import tokens_of
from tests.typed import new_process
from zk.errors import CircuitError

ADDRESS = "192.168.7.8"


def test_certificate_is_for_one_address_and_its_key_stays_nowhere(monkeypatch, tmp_path):
    """The key is in a file that only its user reads, while TLS reads it."""
    read = list[tuple[int, int, bytes]]()
    load = ssl.SSLContext.load_cert_chain

    def watched(tls: ssl.SSLContext, path: Path) -> None:
        read.append(
            (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777, path.read_bytes())
        )
        load(tls, path)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", watched)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = os.umask(0)
    try:
        (_, one), (_, two) = lan.certified(ADDRESS), lan.certified(ADDRESS)
    finally:
        os.umask(before)
    assert [modes for *modes, _ in read] == [[0o700, 0o600]] * 2
    assert list(tmp_path.iterdir()) == []
    made, other = (x509.load_pem_x509_certificate(content) for *_, content in read)
    assert made.public_key() != other.public_key()
    assert one != two
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.IPAddress(ip_address(ADDRESS))]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert made.not_valid_after_utc < datetime.now(UTC) + timedelta(days=31)


def test_machine_without_a_network():
    """In a network namespace that has no other machine."""
    code = "from hub.lan import lan_address; lan_address()"
    alone = ("unshare", "--map-root-user", "--net", sys.executable, "-c", code)
    tried = new_process({**os.environ}, *alone)
    assert "CircuitError: This machine is in no network" in tried.stderr


@pytest.mark.parametrize("address", ["8.8.8.8", "100.64.0.1"])
def test_public_addresses_are_refused(address):
    with pytest.raises(CircuitError, match=f"{address} is not in a private network"):
        lan.required_private(address)
    assert lan.required_private(ADDRESS) == ADDRESS


def test_browsers_leave_out_the_port_of_https(tmp_path):
    """Without a terminal, no token is made."""
    database = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    for port, origin in ((443, f"https://{ADDRESS}"), (8000, f"https://{ADDRESS}:8000")):
        with lan.phones(ADDRESS, port, database) as phones:
            assert (phones.origin, len(phones.notes)) == (origin, 1)
            assert tokens_of(database) == []
