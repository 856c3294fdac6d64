"""A hub on loopback, from an order to its proof: a real process with workers and a database."""

import base64
import io
import json
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests
import soundfile
from eth_account import Account

from apps.circuits import ARTIFACTS
from chain.network import free_port, listen
from hub.server import url_of
from tests.consents import consent_file
from tests.hubs import ADA, BEN, bits, ended, post
from tests.inputs import REAL_VOICE
from tests.typed import ape, open_round, refused
from zk.manifest import Manifest
from zk.proof import Proof, answer, prove, verify

pytestmark = pytest.mark.usefixtures("same_chain")
PROOFS = 9


def order(hub, number: int, account: str = ADA, circuit: str = "clan") -> requests.Response:
    path = f"/v1/circuits/{circuit}/proofs"
    return post(hub, path, {"drawing": bits(number), "account": account})


def checked(hub, proof: dict, circuit: str = "clan") -> dict:
    """The hub's verification of a proof."""
    answered = post(hub, f"/v1/circuits/{circuit}/verifications", proof)
    assert answered.status_code == 200, answered.text
    return answered.json()


def test_draw_prove_verify(hub, manifest, views):
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
    assert proof.outputs(manifest.layout) == [int(value) for value in answer(manifest, views[0])]
    assert proof.key(manifest.layout) % 2**160 == int(ADA, 16)

    # The same order again is the same job.
    again = order(hub, 0)
    assert (again.status_code, again.json()["id"]) == (202, job["id"])
    assert order(hub, 0, BEN).json()["id"] != job["id"]

    found = checked(hub, last["proof"])
    assert (found["valid"], found["account"], found["result"]["digit"]) == (True, ADA, 7)
    assert (found["round"], found["refusal"]) == (None, None)
    instances = [*last["proof"]["instances"][:-1], "0x1"]
    found = checked(hub, {**last["proof"], "instances": instances})
    assert (found["valid"], found["key"], found["round"]) == (False, None, None)
    assert found["reason"] == found["refusal"] != ""

    assert requests.delete(f"{hub.url}/v1/proofs/{job['id']}", timeout=9).status_code == 204
    assert requests.get(f"{hub.url}/v1/proofs/{job['id']}", timeout=9).status_code == 404


def cpu_seconds() -> float:
    """The CPU time of this process and all below it: the hub, its workers, provers."""
    processes = [(this := psutil.Process()), *this.children(recursive=True)]
    return sum(sum(process.cpu_times()[:4]) for process in processes)


@pytest.mark.full
def test_overhead(hub, manifest, views):
    """Proofs by a hub take little more CPU time than local ones; other tests do not disturb it."""
    # A worker's first proof also imports the prover.
    first, *xs = views[20 : 21 + PROOFS]
    hub.client.prove("clan", ADA, first)
    prove(manifest, int(ADA, 16), first)

    start = cpu_seconds()
    keys = [hub.client.prove("clan", ADA, x).key(manifest.layout) for x in xs]
    middle = cpu_seconds()
    for key, x in zip(keys, xs, strict=True):
        prove(manifest, key, x)
    by_hub, here = middle - start, cpu_seconds() - middle
    print(f"\n{PROOFS} proofs took {by_hub:.1f} CPU s by the hub, and {here:.1f} CPU s here")
    assert by_hub < 1.7 * here


@pytest.mark.full  # the page's story of a song orders the same
def test_sing_for_a_round(hub, node, real_score):
    score = str(real_score)
    clip = base64.b64encode(REAL_VOICE.read_bytes()).decode()
    said = post(hub, "/v1/circuits/voice/predictions", {"clip": clip}).json()["result"]
    assert said["score"] == score

    body = {"clip": clip, "account": BEN, "round": 0}
    job = ended(hub, post(hub, "/v1/circuits/voice/proofs", body).json())
    assert (job["state"], job["round"], job["result"]["score"]) == ("done", 0, score)
    found = checked(hub, job["proof"], "voice")
    assert (found["account"], found["round"], found["refusal"]) == (BEN, 0, None)
    round_number = open_round(node)
    newest = post(hub, "/v1/circuits/voice/proofs", {**body, "round": None}).json()
    assert newest["round"] == round_number
    hub.client.remove(newest["id"])


@pytest.mark.full  # tests/serving has the refusals of scores
def test_score_that_is_too_low(hub, node):
    round_number = open_round(node, "--threshold", "1")
    body = {"input": [0] * 1152, "account": BEN, "round": round_number}
    job = ended(hub, post(hub, "/v1/circuits/voice/proofs", body).json())
    found = checked(hub, job["proof"], "voice")
    assert (found["valid"], found["round"]) == (True, round_number)
    assert f"is too low: round {round_number} asks for 1." in found["refusal"]


def test_prediction(hub, manifest, views):
    body = {"drawing": bits(5)}
    result = post(hub, "/v1/circuits/clan/predictions", body).json()["result"]
    exact = [int(value) / 2 ** manifest["output_scale"] for value in answer(manifest, views[5])]
    assert result["logits"] == exact
    assert hub.client.predict("clan", views[5]) == result


def test_inputs_are_removed_when_jobs_end(hub, views):
    job = ended(hub, order(hub, 3, BEN).json())
    assert job["state"] == "done"
    if "sqlite" not in hub.words[1]:
        import psycopg

        with psycopg.connect(hub.words[1]) as connection:
            rows = connection.execute("SELECT x FROM jobs WHERE state = 'done'").fetchall()
        assert rows and all(x is None for (x,) in rows)
        return
    x = views[3].astype(np.float32).tobytes()
    path = hub.words[1].removeprefix("sqlite:///")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        rows = connection.execute("SELECT x FROM jobs WHERE state = 'done'").fetchall()
    assert rows and all(x is None for (x,) in rows)
    for file in (path, f"{path}-wal"):
        assert x[100:300] not in Path(file).read_bytes()


def test_circuits_and_their_files(hub, node, manifest):
    known = {circuit["name"]: circuit for circuit in hub.client.circuits()}
    assert known["clan"]["takes"] == ["drawing", "input"]
    assert known["voice"]["application"] == "VoiceJudge"
    for label in ("settings", "vk", "verifier"):
        found = requests.get(f"{hub.url}/v1/circuits/clan/files/{label}", timeout=9)
        assert found.content == manifest.file(label).read_bytes()
        assert found.headers["ETag"] == f'"{known["clan"]["files"][label]}"'
    chain = requests.get(f"{hub.url}/v1/chain", timeout=9).json()
    assert chain["chain_id"] == node.chain_id
    assert chain["applications"]["clan"]["application"] == "Clan"
    assert chain["applications"]["clan"]["srs"] == "insecure-dev"
    assert not chain["tokens"]


def test_metrics(hub):
    written = requests.get(f"{hub.url}/metrics", timeout=9).text
    assert "verdict_workers" in written
    assert 'verdict_jobs_ended_total{circuit="clan",state="done"}' in written


CLAN = "/v1/circuits/clan/proofs"
BLANK, DRAWN = "0" * 784, ("0" * 12 + "1" * 4 + "0" * 12) * 28


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
        (CLAN, {"drawing": "1" * 784, "account": "0x" + "0" * 40}, 422, "zero address"),
        (CLAN, {"drawing": "1" * 784, "account": "me"}, 422, "account"),
        (CLAN, {"drawing": DRAWN, "account": ADA, "round": 3}, 422, "no rounds"),
        (CLAN, {"drawing": "1" * 784, "account": ADA, "round": -1}, 422, "round"),
        (CLAN, {"drawing": "1" * 784, "account": ADA, "more": 1}, 422, "more"),
        (CLAN, {"clip": "AAAA", "account": ADA}, 422, "takes drawings, not recordings"),
        (CLAN, {"input": [1, 2, 3], "account": ADA}, 422, "takes 144 finite numbers"),
        (CLAN, {"input": [1e39] * 144, "account": ADA}, 422, "finite numbers"),
        ("/v1/circuits/voice/proofs", {"clip": "no!", "account": ADA}, 422, "base64"),
        ("/v1/circuits/voice/proofs", {"clip": "AAAA", "account": ADA}, 422, "The clip is"),
        ("/v1/circuits/voice/proofs", {"drawing": "1" * 784, "account": ADA}, 422, "not drawings"),
        (
            "/v1/circuits/voice/proofs",
            {"input": [0] * 1152, "account": ADA, "round": 7},
            409,
            "There is no round 7",
        ),
        ("/v1/circuits/clan-bad/proofs", {"drawing": DRAWN, "account": ADA}, 409, "deploy"),
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


def test_body_that_is_not_json(hub):
    for content in (b"", b"{", b"[1, 2", b"\xff\xfe", b'{"drawing": NaN}', b"[" * 100_000):
        refused = requests.post(
            hub.url + CLAN, content, headers={"Content-Type": "application/json"}, timeout=9
        )
        assert refused.status_code in (400, 422), refused.text
        assert refused.headers["Content-Type"] == "application/problem+json"


def test_recordings_that_expand(hub):
    """An hour of silence in few bytes, and a rate that no microphone has."""
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


def test_pages_of_other_origins(hub):
    body = {"drawing": bits(0)}
    path = "/v1/circuits/clan/predictions"
    assert post(hub, path, body, Origin="https://elsewhere.example").status_code == 403
    assert post(hub, path, body, Host="elsewhere.example").status_code == 403
    for malformed in ("[", "[::1", ":", "localhost@elsewhere.example"):
        assert post(hub, path, body, Host=malformed).status_code == 403
        assert post(hub, path, body, Origin=f"http://{malformed}").status_code == 403
    assert post(hub, path, body, Origin=hub.url).status_code == 200


def test_proof_of_a_circuit_that_is_not_deployed(hub, bad_manifest, views):
    proof = prove(bad_manifest, int(ADA, 16), views[0])
    found = checked(hub, proof.content(), "clan-bad")
    assert (found["valid"], found["account"], found["round"]) == (True, ADA, None)
    assert "clan-bad is not deployed" in found["refusal"]


def test_proof_for_another_contract(hub, manifest, views):
    proof = prove(manifest, 7 << 160 | int(ADA, 16), views[0])
    found = checked(hub, proof.content())
    assert (found["valid"], found["account"], found["round"]) == (True, ADA, None)
    assert "made for another chain, contract or round" in found["refusal"]


def test_answers_do_not_wait_for_acknowledgements():
    with (
        listen("127.0.0.1", free_port(), "The hub") as door,
        socket.create_connection(door.getsockname()),
        door.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_addresses_of_both_kinds():
    assert url_of("127.0.0.1", 8000) == "http://127.0.0.1:8000"
    assert url_of("::1", 8000) == "http://[::1]:8000"


def test_jobs_that_do_not_exist(hub):
    for identity in ("0", "00000000-0000-0000-0000-000000000000", "%00", "a" * 5000):
        for ask in (requests.get, requests.delete):
            assert ask(f"{hub.url}/v1/proofs/{identity}", timeout=9).status_code in (404, 422)
        path = f"{hub.url}/v1/proofs/{identity}/events"
        assert requests.get(path, timeout=9).status_code in (404, 422)


def test_round_that_is_over(hub, node):
    round_number = open_round(node, "--hours", "1")
    node.pass_time(7200)
    body = {"input": [0] * 1152, "account": ADA, "round": round_number}
    refused = post(hub, "/v1/circuits/voice/proofs", body)
    assert refused.status_code == 409
    assert f"Round {round_number} ended at its deadline" in refused.json()["detail"]


def test_already_a_member(hub, node, tmp_path):
    """An order that the contract would refuse is refused before it is proved."""
    member = Account.create()
    job = ended(hub, order(hub, 2, member.address).json())
    path = tmp_path / "proof.json"
    path.write_text(json.dumps(job["proof"]))
    consent = consent_file(tmp_path / "consent.json", node, member, 1)
    joined = ape(node, "join", str(path), "--account", "0", "--consent", str(consent))
    assert joined.returncode == 0, joined.stderr
    refused = order(hub, 5, member.address)
    assert (refused.status_code, "already in clan 1" in refused.json()["detail"]) == (409, True)
    assert checked(hub, job["proof"])["refusal"] == refused.json()["detail"]


def test_prove_by_a_hub(hub, node, manifest, tmp_path):
    out = tmp_path / "proof.json"
    words = ("prove", "--test-image", "11", "--account", "4", "--out", str(out), "--hub", hub.url)
    made = ape(node, *words)
    assert made.returncode == 0, made.stderr
    verify(manifest, Proof.load(out))
    nobody = ape(node, *words[:-1], "http://127.0.0.1:9", "--yes")
    assert "No hub answers at http://127.0.0.1:9" in nobody.stderr
    assert "Traceback" not in nobody.stderr


def test_hub_that_lies(hub, node, tmp_path):
    """The client refuses a proof of another image for another account."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    job = ended(hub, order(hub, 3, BEN).json())

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
    assert "returned a proof of something else" in refused.stderr
    assert not out.exists()


def test_one_hub_per_database(hub, node):
    second = ape(node, "hub", "--port", "9", *hub.words)
    assert second.returncode == 1
    assert "Another hub uses the database" in second.stderr


def test_hub_that_does_not_relay(hub):
    consent = {"deadline": 2**40, "signature": f"0x{'11' * 65}"}
    body = {"drawing": bits(0), "account": ADA, "consent": consent, "relay": True}
    refused = post(hub, "/v1/circuits/clan/proofs", body)
    assert refused.status_code == 409
    assert "This hub relays nothing" in refused.json()["detail"]


def test_hub_that_cannot_relay(node, tmp_path):
    """The Clan of this chain takes no batches, and one account is unknown."""
    database = ("--database", f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    for account, reason in (
        ("9", "No deployed contract takes batches, which a relay sends: deploy one with"),
        ("nobody", "There is no account 'nobody' to sign with"),
    ):
        words = ("hub", "--relay", account, "--port", str(free_port()), *database)
        assert reason in refused(ape(node, *words))


def test_port_that_is_taken(hub, node, tmp_path):
    database = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    second = ape(node, "hub", "--port", str(hub.port), "--database", database)
    assert second.returncode == 1
    assert f"port {hub.port} (Address already in use)" in second.stderr
    assert "Traceback" not in second.stderr


def test_nothing_private_is_logged(hub):
    job = ended(hub, order(hub, 3, BEN).json())
    assert job["state"] == "done"
    log = hub.log.read_text()
    assert bits(3) not in log
    assert "Traceback" not in log


def test_clients_at_once(hub, quick):
    """Each client gets a proof of the input that it sent."""
    xs = list(np.random.default_rng(1).uniform(-2, 2, (6, 10)).astype(np.float32))
    with ThreadPoolExecutor(6) as pool:
        proofs = list(pool.map(lambda x: hub.client.prove("quick", ADA, x), xs))
    for proof, x in zip(proofs, xs, strict=True):
        assert proof.outputs(quick.layout) == [int(value) for value in answer(quick, x)]


def test_served_circuits_are_built(hub):
    served = {circuit["name"] for circuit in hub.client.circuits()}
    built = {path.parent.name for path in ARTIFACTS.glob("*/manifest.json")}
    assert served <= built
    assert {"clan", "voice"} <= served
    assert Manifest(ARTIFACTS / "clan")["circuit"] in served
