"""The hub as its users meet it: a real process, its own workers, SQLite and PostgreSQL."""

import asyncio
import base64
import io
import json
import socket
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
import requests
import soundfile
from web3 import HTTPProvider, Web3

from hub import app
from hub.app import url_of
from hub.client import Hub
from models.data import mnist
from scripts._circuits import ARTIFACTS, READS, ROOT
from scripts._cli import free_port
from tests.conftest import REAL_VOICE, own_node
from tests.hubs import BIN, postgres, running
from zk.errors import CircuitError
from zk.manifest import Manifest
from zk.proof import Proof, answer, prove, verify

CHAIN_ID = 1338
ADA, BEN = (
    "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
)


def ape(node: dict[str, str], *words: str) -> subprocess.CompletedProcess:
    import os

    return subprocess.run(
        [BIN / "ape", "run", *words],
        cwd=ROOT,
        env={**os.environ, **node},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def node(manifest, voice_manifest, bad_manifest):
    """A chain with both applications, and round 0; `clan-bad` is built, and not deployed."""
    with own_node(CHAIN_ID) as reached:
        assert ape(reached, "deploy").returncode == 0
        assert open_round(reached, "--reward", "0.01") == 0
        yield reached


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def hub(request, node, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    if request.param == "sqlite":
        with running(folder, node) as started:
            yield started
    else:
        with postgres() as database, running(folder, node, "--database", database) as started:
            yield started


def bits(number: int) -> str:
    """One of MNIST's test images as the page sends it."""
    return "".join(str(int(pixel)) for pixel in mnist.drawings("test")[number].reshape(-1))


def post(hub, path: str, body, **headers) -> requests.Response:
    return requests.post(hub.url + path, json=body, headers=headers, timeout=60)


def ended(hub, job: dict) -> dict:
    """A job's last state."""
    *_, last = hub.client.changes(job["id"])
    return last


def order(hub, number: int, account: str = ADA, circuit: str = "clan") -> requests.Response:
    path = f"/v1/circuits/{circuit}/proofs"
    return post(hub, path, {"drawing": bits(number), "account": account})


def test_draw_prove_verify(hub, manifest):
    accepted = order(hub, 0)
    assert accepted.status_code == 202
    job = accepted.json()
    assert accepted.headers["Location"] == f"/v1/proofs/{job['id']}"
    assert (job["state"], job["account"], job["proof"]) == ("queued", ADA, None)

    states = list(hub.client.changes(job["id"]))
    assert [state["state"] for state in states][-1] == "done"
    assert "proving" in [state["state"] for state in states]
    last = states[-1]
    assert last["result"]["digit"] == 7
    proof = Proof.of(last["proof"], "the hub")
    verify(manifest, proof)
    x = READS["clan"](mnist.drawings("test")[0])
    assert proof.outputs(manifest.layout) == [int(value) for value in answer(manifest, x)]
    assert proof.key(manifest.layout) % 2**160 == int(ADA, 16)

    # The same of the same is the same job, which is done.
    again = order(hub, 0)
    assert (again.status_code, again.json()["id"]) == (202, job["id"])
    assert order(hub, 0, BEN).json()["id"] != job["id"]

    said = post(hub, "/v1/circuits/clan/verifications", last["proof"]).json()
    assert (said["valid"], said["account"], said["result"]["digit"]) == (True, ADA, 7)
    instances = [*last["proof"]["instances"][:-1], "0x1"]
    said = post(hub, "/v1/circuits/clan/verifications", {**last["proof"], "instances": instances})
    assert said.json()["valid"] is False
    assert said.json()["reason"]

    assert requests.delete(f"{hub.url}/v1/proofs/{job['id']}", timeout=9).status_code == 204
    assert requests.get(f"{hub.url}/v1/proofs/{job['id']}", timeout=9).status_code == 404


def open_round(node: dict[str, str], *words: str) -> int:
    opened = ape(node, "open-round", "--threshold", "0", *words)
    assert opened.returncode == 0, opened.stderr
    return int(opened.stdout.split("round ")[1].split()[0])


def test_overhead(hub, manifest):
    """Having a hub prove takes little longer than proving oneself. Prints both."""
    by_hub, here = [], []
    for number in range(20, 29):
        x = READS["clan"](mnist.drawings("test")[number])
        started = time.perf_counter()
        key = hub.client.prove("clan", ADA, x).key(manifest.layout)
        by_hub.append(time.perf_counter() - started)
        started = time.perf_counter()
        prove(manifest, key, x)
        here.append(time.perf_counter() - started)
    theirs, own = float(np.median(by_hub[1:])), float(np.median(here[1:]))
    print(f"\na proof took {theirs:.3f} s by the hub, and {own:.3f} s here")
    assert theirs < 1.7 * own


def test_sing_for_a_round(hub, node, voice_manifest, scores):
    clip = base64.b64encode(REAL_VOICE.read_bytes()).decode()
    said = post(hub, "/v1/circuits/voice/predictions", {"clip": clip}).json()["result"]
    assert said["score"] == str(scores[0])

    body = {"clip": clip, "account": BEN, "round": 0}
    job = ended(hub, post(hub, "/v1/circuits/voice/proofs", body).json())
    assert (job["state"], job["round"], job["result"]["score"]) == ("done", 0, str(scores[0]))
    number = open_round(node, "--reward", "0.01")
    newest = post(hub, "/v1/circuits/voice/proofs", {**body, "round": None}).json()
    assert newest["round"] == number
    hub.client.remove(newest["id"])


def test_a_stroke_is_read_at_once(hub, manifest):
    x = READS["clan"](mnist.drawings("test")[5])
    body = {"drawing": bits(5)}
    said = post(hub, "/v1/circuits/clan/predictions", body).json()["result"]
    exact = [int(value) / 2 ** manifest["output_scale"] for value in answer(manifest, x)]
    assert said["logits"] == exact
    assert hub.client.predict("clan", x) == said


def test_inputs_are_gone_when_jobs_end(hub):
    job = ended(hub, order(hub, 3, BEN).json())
    assert job["state"] == "done"
    if "sqlite" not in hub.words[1]:
        import psycopg

        with psycopg.connect(hub.words[1]) as connection:
            rows = connection.execute("SELECT x FROM jobs WHERE state = 'done'").fetchall()
        assert rows and all(x is None for (x,) in rows)
        return
    x = READS["clan"](mnist.drawings("test")[3]).astype(np.float32).tobytes()
    path = hub.words[1].removeprefix("sqlite:///")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        rows = connection.execute("SELECT x FROM jobs WHERE state = 'done'").fetchall()
    assert rows and all(x is None for (x,) in rows)
    for file in (path, f"{path}-wal"):
        assert x[100:300] not in Path(file).read_bytes()


def test_circuits_and_their_files(hub, manifest):
    known = {circuit["name"]: circuit for circuit in hub.client.circuits()}
    assert known["clan"]["takes"] == ["drawing", "input"]
    assert known["voice"]["application"] == "VoiceJudge"
    for label in ("settings", "vk", "verifier"):
        found = requests.get(f"{hub.url}/v1/circuits/clan/files/{label}", timeout=9)
        assert found.content == manifest.file(label).read_bytes()
        assert found.headers["ETag"] == f'"{known["clan"]["files"][label]}"'
    chain = requests.get(f"{hub.url}/v1/chain", timeout=9).json()
    assert chain["chain_id"] == CHAIN_ID
    assert chain["applications"]["clan"]["application"] == "Clan"
    assert not chain["tokens"]


def test_metrics(hub):
    written = requests.get(f"{hub.url}/metrics", timeout=9).text
    assert "verdict_workers 1.0" in written or "verdict_workers" in written
    assert 'verdict_jobs_ended_total{circuit="clan",state="done"}' in written


CLAN = "/v1/circuits/clan/proofs"
BLANK = "0" * 784


@pytest.mark.parametrize(
    "path, body, status, reason",
    [
        (CLAN, {"drawing": BLANK, "account": ADA}, 422, "empty"),
        (CLAN, {"drawing": "1" * 783, "account": ADA}, 422, "drawing"),
        (CLAN, {"drawing": "2" * 784, "account": ADA}, 422, "drawing"),
        (CLAN, {"drawing": ["1"] * 784, "account": ADA}, 422, "drawing"),
        (CLAN, {"account": ADA}, 422, "one of drawing, clip and input"),
        (CLAN, {"drawing": "1" * 784, "input": [1], "account": ADA}, 422, "one of"),
        (CLAN, {"drawing": "1" * 784, "account": ADA.replace("dc79C8", "DC79C8")}, 422, "checksum"),
        (CLAN, {"drawing": "1" * 784, "account": "0x" + "0" * 40}, 422, "zero account"),
        (CLAN, {"drawing": "1" * 784, "account": "me"}, 422, "account"),
        (CLAN, {"drawing": "1" * 784, "account": ADA, "round": 3}, 422, "no rounds"),
        (CLAN, {"drawing": "1" * 784, "account": ADA, "round": -1}, 422, "round"),
        (CLAN, {"drawing": "1" * 784, "account": ADA, "more": 1}, 422, "more"),
        (CLAN, {"clip": "AAAA", "account": ADA}, 422, "hears no recordings"),
        (CLAN, {"input": [1, 2, 3], "account": ADA}, 422, "takes 144 finite numbers"),
        (CLAN, {"input": [1e39] * 144, "account": ADA}, 422, "finite numbers"),
        ("/v1/circuits/voice/proofs", {"clip": "no!", "account": ADA}, 422, "base64"),
        ("/v1/circuits/voice/proofs", {"clip": "AAAA", "account": ADA}, 422, "no recording"),
        ("/v1/circuits/voice/proofs", {"drawing": "1" * 784, "account": ADA}, 422, "no drawings"),
        (
            "/v1/circuits/voice/proofs",
            {"input": [0] * 512, "account": ADA, "round": 7},
            409,
            "There is no round 7",
        ),
        ("/v1/circuits/clan-bad/proofs", {"drawing": "1" * 784, "account": ADA}, 409, "deploy"),
        ("/v1/circuits/nothing/proofs", {"drawing": "1" * 784, "account": ADA}, 404, "no circuit"),
        ("/v1/circuits/clan/verifications", {"circuit": "voice"}, 422, "proof"),
        (
            "/v1/circuits/clan/verifications",
            {"circuit": "voice", "proof": "0x00", "instances": []},
            422,
            "a proof of voice",
        ),
    ],
)
def test_bad_input_is_a_problem_document(hub, bad_manifest, path, body, status, reason):
    refused = post(hub, path, body)
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert (refused.status_code, refused.json()["status"]) == (status, status)
    assert reason in refused.json()["detail"]


def test_words_that_are_no_json(hub):
    for content in (b"", b"{", b"[1, 2", b"\xff\xfe", b'{"drawing": NaN}', b"[" * 100_000):
        refused = requests.post(
            hub.url + CLAN, content, headers={"Content-Type": "application/json"}, timeout=9
        )
        assert refused.status_code in (400, 422), refused.text
        assert refused.headers["Content-Type"] == "application/problem+json"


def test_recordings_that_blow_up(hub):
    """A quiet hour in few bytes, and a rate that no microphone has."""
    for rate, seconds in ((48_000, 3600), (655_350, 60)):
        file = io.BytesIO()
        silence = np.zeros((rate * 20, 1), np.int16)
        with soundfile.SoundFile(file, "w", rate, 1, "PCM_16", format="FLAC") as writer:
            for _ in range(seconds // 20):
                writer.write(silence)
        clip = base64.b64encode(file.getvalue()).decode()
        assert len(clip) < 1_000_000
        refused = post(hub, "/v1/circuits/voice/predictions", {"clip": clip})
        assert refused.status_code == 422, refused.text


def test_too_large(hub):
    refused = requests.post(hub.url + CLAN, b" " * 17_000_000, timeout=30)
    assert refused.status_code == 413
    unknown_length = (b" " * 1_000_000 for _ in range(17))
    assert requests.post(hub.url + CLAN, unknown_length, timeout=30).status_code == 413


def test_other_pages_cannot_use_it(hub):
    body = {"drawing": bits(0)}
    path = "/v1/circuits/clan/predictions"
    assert post(hub, path, body, Origin="https://elsewhere.example").status_code == 403
    assert post(hub, path, body, Host="elsewhere.example").status_code == 403
    for malformed in ("[", "[::1", ":", "localhost@elsewhere.example"):
        assert post(hub, path, body, Host=malformed).status_code == 403
        assert post(hub, path, body, Origin=f"http://{malformed}").status_code == 403
    assert post(hub, path, body, Origin=hub.url).status_code == 200


def test_page_that_is_not_built(monkeypatch, tmp_path):
    monkeypatch.setattr(app, "PAGE", tmp_path / "dist")
    answers = httpx.ASGITransport(app.create_app(SimpleNamespace(loopback=True), []))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=answers, base_url="http://localhost") as client:
            return await client.get("/")

    assert "make web/dist/index.html" in asyncio.run(ask()).json()["detail"]


def test_answers_do_not_wait_for_acknowledgements():
    with (
        app.listen("127.0.0.1", free_port()) as door,
        socket.create_connection(door.getsockname()),
        door.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_addresses_of_both_kinds():
    assert url_of("127.0.0.1", 8000) == "http://127.0.0.1:8000"
    assert url_of("::1", 8000) == "http://[::1]:8000"


def test_jobs_that_are_not_there(hub):
    for identity in ("0", "00000000-0000-0000-0000-000000000000", "%00", "a" * 5000):
        for ask in (requests.get, requests.delete):
            assert ask(f"{hub.url}/v1/proofs/{identity}", timeout=9).status_code in (404, 422)
        path = f"{hub.url}/v1/proofs/{identity}/events"
        assert requests.get(path, timeout=9).status_code in (404, 422)


def test_round_that_is_over(hub, node):
    number = open_round(node, "--reward", "1", "--hours", "1")
    web3 = Web3(HTTPProvider(node["APE_FOUNDRY_HOST"]))
    web3.provider.make_request("evm_increaseTime", [7200])  # type: ignore[arg-type]
    web3.provider.make_request("evm_mine", [])  # type: ignore[arg-type]
    body = {"input": [0] * 512, "account": ADA, "round": number}
    refused = post(hub, "/v1/circuits/voice/proofs", body)
    assert refused.status_code == 409
    assert f"Round {number} is over" in refused.json()["detail"]


def test_already_a_member(hub, node, tmp_path):
    """What the contract would refuse is refused before anybody waits for it."""
    member = f"0x{'6' if 'sqlite' in hub.words[1] else '7'}{'1' * 39}"
    job = ended(hub, order(hub, 2, member).json())
    path = tmp_path / "proof.json"
    path.write_text(json.dumps(job["proof"]))
    joined = ape(node, "join", str(path), "--account", "0")
    assert joined.returncode == 0, joined.stderr
    refused = order(hub, 5, member)
    assert (refused.status_code, "is in clan 1" in refused.json()["detail"]) == (409, True)


def test_prove_by_a_hub(hub, node, manifest, tmp_path):
    out = tmp_path / "proof.json"
    words = ("prove", "--test-image", "11", "--account", "4", "--out", str(out), "--hub", hub.url)
    made = ape(node, *words)
    assert made.returncode == 0, made.stderr
    verify(manifest, Proof.load(out))
    nobody = ape(node, *words[:-1], "http://127.0.0.1:9")
    assert "No hub answers at http://127.0.0.1:9" in nobody.stderr
    assert "Traceback" not in nobody.stderr


def test_hub_that_lies(hub, node, tmp_path):
    """A proof of another image for another account is not taken."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    job = ended(hub, order(hub, 13, BEN).json())

    class Liar(BaseHTTPRequestHandler):
        def do_POST(self):
            self.answer("application/json", json.dumps(job))

        def do_GET(self):
            self.answer("text/event-stream", f"data: {json.dumps(job)}\n\n")

        def answer(self, kind, content):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Liar) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        out = tmp_path / "proof.json"
        words = ("prove", "--test-image", "11", "--account", "4", "--out", str(out), "--hub", url)
        refused = ape(node, *words)
        server.shutdown()
    assert "proved something else" in refused.stderr
    assert not out.exists()


def test_one_hub_a_database(hub, node):
    second = ape(node, "hub", "--port", "9", *hub.words)
    assert second.returncode == 1
    assert "Another hub works on the database" in second.stderr


def test_port_that_is_taken(hub, node, tmp_path):
    database = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    second = ape(node, "hub", "--port", str(hub.port), "--database", database)
    assert second.returncode == 1
    assert f"port {hub.port} (Address already in use)" in second.stderr
    assert "Traceback" not in second.stderr


def test_nothing_private_is_logged(hub):
    job = ended(hub, order(hub, 21).json())
    assert job["state"] == "done"
    log = hub.log.read_text()
    assert bits(21) not in log
    assert "Traceback" not in log


def test_a_client_that_has_to_wait(hub, manifest):
    """Everybody at once, and everybody's own."""
    numbers = range(30, 36)
    xs = [READS["clan"](mnist.drawings("test")[number]) for number in numbers]
    with ThreadPoolExecutor(6) as pool:
        proofs = list(pool.map(lambda x: hub.client.prove("clan", ADA, x), xs))
    for proof, x in zip(proofs, xs, strict=True):
        assert proof.outputs(manifest.layout) == [int(value) for value in answer(manifest, x)]


def test_client_without_a_hub():
    with pytest.raises(CircuitError, match="No hub answers"):
        Hub("http://127.0.0.1:9").job("0")


def test_circuits_are_those_of_the_artifacts(hub):
    served = {circuit["name"] for circuit in hub.client.circuits()}
    built = {path.parent.name for path in ARTIFACTS.glob("*/manifest.json")}
    assert served <= built
    assert {"clan", "voice"} <= served
    assert Manifest(ARTIFACTS / "clan")["circuit"] in served
