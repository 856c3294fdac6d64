"""A hub beyond loopback: tokens, limits, pages, and requests made from its OpenAPI description."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from hub.client import Hub
from tests.hubs import ADA, BIN, PAGE, bits, ended
from tests.scale import scaled
from tests.typed import ape
from zk.files import ROOT

pytestmark = pytest.mark.usefixtures("same_chain")
EXAMPLES = scaled(10, 25)  # of requests for each operation of the description


def ask(hub, method: str, path: str, token: str | None = None, **more) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return requests.request(method, hub.url + path, headers=headers, timeout=30, **more)


def order(hub, token: str | None, number: int) -> requests.Response:
    body = {"drawing": bits(number), "account": ADA}
    return ask(hub, "POST", "/v1/circuits/clan/proofs", token, json=body)


def test_beyond_loopback_a_token_is_needed(node, tmp_path):
    words = ("hub", "--host", "0.0.0.0", "--port", "9", "--database")
    refused = ape(node, *words, f"sqlite:///{tmp_path / 'none.sqlite'}")
    assert refused.returncode == 1
    assert "create one with --new-token NAME" in refused.stderr


def test_lan_and_another_address(node):
    refused = ape(node, "hub", "--lan", "--host", "0.0.0.0")
    sentence = "--lan chooses the address: leave out --host, --scheduler and --url."
    assert (refused.returncode, refused.stderr) == (1, f"Error: {sentence}\n")


@pytest.mark.parametrize(
    ("host", "reason"),
    [("nowhere.invalid", "no such name"), ("203.0.113.9", "Cannot assign requested address")],
)
def test_address_of_another_machine(node, host, reason):
    refused = ape(node, "hub", "--host", host, "--port", "9")
    sentence = f"Error: The hub cannot listen at {host}, port 9 ({reason}): "
    assert refused.stderr.startswith(sentence), refused.stderr
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)


def test_unknown_tokens(open_hub, tokens, open_database):
    for token in (None, "", "other", tokens["ada"][:-1]):
        refused = order(open_hub, token, 0)
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    path = open_database.removeprefix("sqlite:///")
    with open(path, "rb") as file:  # noqa: PTH123
        assert tokens["ada"].encode() not in file.read()


def test_tokens_are_listed_and_revoked(open_hub, node, tokens, open_database):
    def command(*words: str) -> str:
        done = ape(node, "hub", "--database", open_database, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    token = command("--new-token", "cy").split()[-1]
    path = "/v1/proofs/00000000-0000-0000-0000-000000000000"
    assert ask(open_hub, "GET", path, token).status_code == 404
    listed = command("--tokens")
    assert [line.split()[-1] for line in listed.splitlines()] == ["ada", "ben", "cy"]
    assert not any(secret in listed for secret in (token, *tokens.values()))
    assert command("--revoke-token", "cy") == "the token of cy is revoked\n"
    assert ask(open_hub, "GET", path, token).status_code == 401
    assert "cy" not in command("--tokens")


def test_jobs_belong_to_a_token(open_hub, tokens):
    accepted = order(open_hub, tokens["ada"], 1)
    assert accepted.status_code == 202
    path = f"/v1/proofs/{accepted.json()['id']}"
    assert ask(open_hub, "GET", path, tokens["ada"]).status_code == 200
    for method, more in (("GET", ""), ("DELETE", ""), ("GET", "/events")):
        assert ask(open_hub, method, path + more, tokens["ben"]).status_code == 404
        assert ask(open_hub, method, path + more).status_code == 401
    assert order(open_hub, tokens["ben"], 1).json()["id"] != accepted.json()["id"]


def test_open_jobs_are_limited(open_hub, tokens):
    """Each token has a limit, all share another; the refusal says when to retry."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda number: order(open_hub, tokens["ada"], number), range(40, 48))
        )
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    accepted = [answer.json()["id"] for answer in answers if answer.status_code == 202]
    client = Hub(open_hub.url, tokens["ada"])
    for identity in accepted:
        *_, last = client.changes(identity)
        assert last["state"] == "done"


def test_pace(open_hub, tokens):
    path = "/v1/circuits/clan/predictions"

    def predict(_: int) -> int:
        body = {"drawing": bits(0)}
        return ask(open_hub, "POST", path, tokens["ben"], json=body).status_code

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(predict, range(150)))
    assert set(found) == {200, 429}
    assert requests.get(f"{open_hub.url}/healthz", timeout=9).ok


def test_pages(open_hub, tokens):
    """Only pages of an --origin may use the hub."""
    path = f"{open_hub.url}/v1/circuits/clan/proofs"
    asked = {"Access-Control-Request-Method": "POST"}
    allowed = requests.options(path, headers={"Origin": PAGE, **asked}, timeout=9)
    assert allowed.headers["Access-Control-Allow-Origin"] == PAGE
    other = requests.options(path, headers={"Origin": "https://else.example", **asked}, timeout=9)
    assert "Access-Control-Allow-Origin" not in other.headers


def test_a_thousand_requests(open_hub, tokens):
    """Malformed requests at once: each is answered or refused, and the hub keeps running."""
    asked = [
        lambda: ask(open_hub, "GET", "/v1/circuits"),
        lambda: ask(open_hub, "POST", "/v1/circuits/clan/proofs", "other", data=b"{"),
        lambda: ask(
            open_hub, "POST", "/v1/circuits/clan/proofs", tokens["ada"], data=b"\xff" * 1000
        ),
        lambda: ask(open_hub, "DELETE", "/v1/proofs/0", tokens["ben"]),
        lambda: ask(open_hub, "POST", "/rpc", None, json={"method": "eth_call", "params": []}),
    ]
    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda number: asked[number % 5]().status_code, range(1000)))
    assert all(status < 500 for status in found)
    assert requests.get(f"{open_hub.url}/healthz", timeout=9).ok


def test_openapi_description(hub):
    """Random requests, valid and invalid, are answered as the description says."""
    words = ["run", f"{hub.url}/openapi.json", "--max-examples", str(EXAMPLES), "--seed", "1"]
    checks = "not_a_server_error,status_code_conformance,content_type_conformance"
    found = subprocess.run(
        [BIN / "schemathesis", *words, "--checks", checks, "--no-color"],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert found.returncode == 0, found.stdout[-5000:]
    assert requests.get(f"{hub.url}/healthz", timeout=9).ok
    assert "Traceback" not in hub.log.read_text()
    job = {"drawing": bits(0), "account": ADA}
    path = f"{hub.url}/v1/circuits/clan/proofs"
    assert ended(hub, requests.post(path, json=job, timeout=9).json())["state"] == "done"
