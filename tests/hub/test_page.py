"""The page in a real browser, against a real hub and a real anvil. Leaves screenshots in out/."""

import base64
import io
import json
import os
import pty
import re
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
import segno
from playwright.sync_api import FilePayload, Page, Request, Route, expect

from apps.circuits import view_of
from apps.voice import ANYONE, score_from
from chain.network import free_port
from hub.jobs import tokens_of
from models.data import mnist
from tests.browsers import choose_account, draw_seven, use_dev_account
from tests.builds import beside
from tests.hubs import ADA, BIN, Running, post, running, until
from tests.inputs import REAL_VOICE
from tests.nodes import Node
from tests.tiny import ECHO_ARGS, echo_in
from tests.typed import ape, open_round
from zk.files import ROOT
from zk.manifest import Manifest
from zk.proof import Proof, answer, prove, prove_all

pytestmark = [
    pytest.mark.usefixtures("same_chain"),
    pytest.mark.parametrize("hub", ["postgres"], indirect=True, scope="session"),
]
SHOTS = ROOT / "out" / "screenshots"
DESK = {"width": 1100, "height": 900}
PHONE = {"width": 390, "height": 800}
THREE = "0x90F79bf6EB2c4f870365E785982E1f101E93b906"
ALICE = "0x0a11CE00000000000000000000000000000A11cE"  # an address that starts with a zero


@pytest.fixture
def visit(browser, hub):
    """Run a story on a fresh page; fail if the page reports an error."""

    def visit(story, *, url: str = hub.url, init: str = "", expected: str = "", **options) -> None:
        def run(launched) -> None:
            context = launched.new_context(
                **{"viewport": {"width": 1100, "height": 900}, **options}
            )
            context.grant_permissions(["clipboard-read", "clipboard-write", "microphone"])
            page = context.new_page()
            complaints: list[str] = []
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda said: complaints.extend([said.text] * (said.type == "error")))
            if init:
                page.add_init_script(init)
            try:
                page.goto(f"{hub.url}/{url}" if url.startswith("#") else url)
                story(page)
            finally:
                SHOTS.mkdir(parents=True, exist_ok=True)
                shot = story.__qualname__.replace(".<locals>.", "-")
                page.screenshot(path=SHOTS / f"{shot}.png", full_page=True)
                context.close()
            assert [said for said in complaints if not expected or expected not in said] == []

        browser(run)

    return visit


expect.set_options(timeout=20_000)


def chain_of(hub: Running) -> dict[str, Any]:
    """Return the chain and its contracts, as the page reads them."""
    return requests.get(f"{hub.url}/v1/chain", timeout=60).json()


def contract(node: Node, hub: Running, circuit: str) -> Any:
    deployment = chain_of(hub)["applications"][circuit]
    return node.web3.eth.contract(deployment["contract"], abi=deployment["abi"])


def send(node: Node, call: Any, value: int = 0, sender: int = 9) -> None:
    """Send a transaction from a test account and wait for its block."""
    sent = call.transact({"from": node.web3.eth.accounts[sender], "value": value})
    assert node.web3.eth.wait_for_transaction_receipt(sent)["status"] == 1


def now_on(node: Node) -> int:
    """The time that decides whether a deadline is over, as `chain.network.now` for Ape's chain."""
    return max(node.web3.eth.get_block("latest").get("timestamp", 0), int(time.time()))


@pytest.fixture(scope="session")
def genuine(node, hub, manifest) -> Proof:
    """A proof that Alice drew a 7."""
    key = contract(node, hub, "clan").functions.keyOf(ALICE).call()
    return prove(manifest, key, view_of("clan", "drawing")(mnist.drawings("test", 1))[0])


def test_draw_prove_join(visit, node):
    def story(page: Page) -> None:
        use_dev_account(page, 1)
        expect(page.get_by_text("You have not joined a clan yet.")).to_be_visible()
        draw_seven(page)
        expect(page.get_by_text("The model reads a 7.")).to_be_visible()
        page.get_by_role("button", name="Prove this digit").click()
        join = page.get_by_role("button", name="Join this clan")
        expect(join).to_be_visible(timeout=60_000)
        page.get_by_text("Show the proof").click()
        proved = page.locator("details.proof")
        expect(proved).to_contain_text("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
        join.click()
        expect(page.get_by_text("has joined clan 7.")).to_be_visible(timeout=30_000)
        expect(page.get_by_text("You are in clan 7, number 1 of 10")).to_be_visible()
        expect(page.get_by_text("Clan 7 leads with 1 member.")).to_be_visible()

        # The account is a member now: the page refuses a second proof before it is made.
        page.get_by_role("button", name="Prove this digit").click()
        expect(page.get_by_role("alert")).to_contain_text(
            "is already in clan 7 and cannot change clans"
        )

    visit(story, expected="409")
    clans = ape(node, "clans")
    assert "clan 7       1  █" in clans.stdout


def test_draw_anywhere(visit):
    """The page centres a drawing for the model, without moving it under the pen.

    Prints the seconds of the predictions during a stroke.
    """
    asked = """performance.getEntriesByType("resource")
        .filter((entry) => entry.name.endsWith("/predictions")).map((entry) => entry.duration)"""

    def story(page: Page) -> None:
        pad = page.locator("canvas.pad")
        before = pad.bounding_box()
        expect(page.get_by_text("Connect an account to join.")).to_be_visible()
        assert pad.bounding_box() == before
        for right, down in ((-0.25, -0.15), (0.25, 0.15), (0, -0.18)):
            draw_seven(page, right, down)
            expect(page.get_by_text("The model reads a 7.")).to_be_visible()
            page.get_by_role("button", name="Clear").click()
            expect(page.get_by_text("Draw a digit.")).to_be_visible()
        took = sorted(page.evaluate(asked))
        print(
            f"\n{len(took)} predictions took {took[len(took) // 2]:.0f} ms, at most {took[-1]:.0f}"
        )

    # The chain answers a second after the page has loaded.
    visit(
        story,
        init="""
            const now = window.fetch;
            window.fetch = async (where, ...words) => {
                if (where === "/rpc") await new Promise((go) => setTimeout(go, 1000));
                return now(where, ...words);
            };
        """,
    )


# The ink at places of the pad, from 0 to 1.
INK = """(places) => {
    const canvas = document.querySelector("canvas.pad");
    const { width, height } = canvas;
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    const at = ([x, y]) => Math.floor(y * height) * width + Math.floor(x * width);
    return places.map((place) => 1 - data[4 * at(place)] / 255);
}"""
COALESCED = """(places) => {
    const canvas = document.querySelector("canvas.pad");
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const move = ([x, y], more = {}) => {
        const place = { clientX: left + x * width, clientY: top + y * height };
        return new PointerEvent("pointermove", { pointerId: 1, ...place, ...more });
    };
    const coalescedEvents = places.map((place) => move(place));
    canvas.dispatchEvent(move(places.at(-1), { coalescedEvents }));
}"""
SIDE, PEN = 28, 1.3  # the model's pixels on a side, and the radius of the pen in pixels


def bent(points: list[tuple[float, float]]) -> np.ndarray:
    """Places on a stroke through these points, in pixels: it bends from middle to middle."""
    at = np.array([points[0], *points, points[-1]]) * SIDE
    part = np.linspace(0, 1, 200)[:, None]
    return np.concatenate(
        [
            (1 - part) ** 2 * (one + two) / 2
            + 2 * (1 - part) * part * two
            + part**2 * (two + six) / 2
            for one, two, six in zip(at, at[1:], at[2:], strict=False)
        ]
    )


def test_smooth_strokes(visit):
    """People see curves, the model gets the pixels that they cover, and undo takes a whole stroke.

    The browser gives several places of the pen in one event.
    """
    points = [(0.25, 0.8), (0.5, 0.2), (0.75, 0.8), (0.4, 0.5), (0.2, 0.5)]
    middles = [((x + 0.5) / SIDE, (y + 0.5) / SIDE) for y in range(SIDE) for x in range(SIDE)]
    away = np.hypot(*(np.array(middles)[:, None] * SIDE - bent(points)[None]).T).min(axis=0)
    drawn: list[str] = []

    def story(page: Page) -> None:
        page.on("request", lambda one: drawn.append(one.post_data or "") if _read(one) else None)
        box = page.locator("canvas.pad").bounding_box()
        assert box
        page.mouse.move(
            box["x"] + points[0][0] * box["width"], box["y"] + points[0][1] * box["height"]
        )
        page.mouse.down()
        page.evaluate(COALESCED, points[1:])
        page.mouse.up()
        expect(page.get_by_text("The model reads a")).to_be_visible()
        pixels = np.array(list(json.loads(drawn[-1])["drawing"]), int)
        ink = np.array(page.evaluate(INK, middles))
        paper, black = ink.min(), ink.max()
        seen = (ink - paper) / (black - paper)
        assert (pixels[away < PEN - 0.1] == 1).all()
        assert (pixels[away > PEN + 0.1] == 0).all()
        assert (seen[away < PEN - 0.1] > 0.9).all()
        assert (seen[away > PEN + 0.1] < 0.1).all()
        draw_seven(page)
        for shown in (seen > 0.5, False):
            page.get_by_role("button", name="Undo").click()
            left = (np.array(page.evaluate(INK, middles)) - paper) / (black - paper)
            assert ((left > 0.5) == shown).all()

    visit(story)


def _read(request: Request) -> bool:
    return request.url.endswith("/predictions")


def test_sing_prove_be_rewarded(visit, node):
    def story(page: Page) -> None:
        page.get_by_role("link", name="VoiceJudge").click()
        use_dev_account(page, 2)
        expect(page.get_by_text("Your credit is 0 ether.")).to_be_visible()
        page.set_input_files("#clip", REAL_VOICE)
        expect(page.get_by_text("The judge's score is 0.2822.")).to_be_visible(timeout=20_000)
        expect(page.locator("canvas.spectrogram")).to_be_visible()
        page.get_by_role("button", name="Prove this score").click()
        judge = page.get_by_role("button", name="Submit this score")
        expect(judge).to_be_visible(timeout=60_000)
        judge.click()
        expect(page.get_by_text("has earned the reward of round 0.")).to_be_visible(timeout=30_000)
        expect(page.get_by_text("0.2822 0x3C44…93BC")).to_be_visible()
        page.get_by_role("button", name="Withdraw").click()
        expect(page.get_by_text("Your credit is 0 ether.")).to_be_visible(timeout=30_000)

    visit(story, viewport=PHONE, color_scheme="dark")
    assert "0.2822 0x3C44" in ape(node, "rounds").stdout


def test_a_view_that_is_left_before_it_loads(visit, hub):
    """The account is that of the view that is shown, although the other one loads later."""
    held: list[Route] = []

    def story(page: Page) -> None:
        page.route("**/v1/chain", lambda route: route.continue_() if held else held.append(route))
        page.reload(wait_until="commit")
        page.get_by_role("link", name="VoiceJudge").click()
        expect(page.get_by_text("Connect an account to earn rewards.")).to_be_visible()
        with page.expect_response("**/v1/chain"):
            held[0].continue_()
        page.wait_for_load_state("networkidle")
        use_dev_account(page, 2)
        expect(page.get_by_text("Your credit is 0 ether.")).to_be_visible()

    visit(story)


def test_reload_while_the_hub_proves(visit, hub):
    def story(page: Page) -> None:
        use_dev_account(page, 3)
        draw_seven(page)
        page.get_by_role("button", name="Prove this digit").click()
        working = re.compile("Proving for|Next in the queue|Waiting for")
        expect(page.get_by_text(working)).to_be_visible()
        page.reload()
        expect(page.get_by_text("The proof that you ordered is ready")).to_be_visible(
            timeout=60_000
        )
        assert page.evaluate("localStorage.getItem('verdict-jobs')") == "[]"
        page.goto(f"{hub.url}/#verify")
        page.get_by_role("button", name="clan, for 0x90F7…b906").click()
        expect(page.get_by_text(re.compile("^Valid: the verifier at"))).to_be_visible()

    visit(story)


def test_a_link_for_a_relayer(visit, hub, node, tmp_path):
    """One account proves and signs, another opens the link and sends; the first one joins."""
    link: list[str] = []
    public: list[str | None] = []

    def prover(page: Page) -> None:
        use_dev_account(page, 3)
        draw_seven(page)
        page.get_by_role("button", name="Prove this digit").click()
        page.get_by_role("button", name="Sign a link for a relayer").click(timeout=60_000)
        page.get_by_role("button", name="Copy a link for a relayer").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        link.append(page.evaluate("navigator.clipboard.readText()"))
        public.append(page.locator("details.proof dl").text_content())

    def stranger(page: Page) -> None:
        use_dev_account(page, 4)
        page.get_by_role("button", name="Join for this account").click(timeout=20_000)
        refusal = f"Only {THREE} can join with this proof"
        expect(page.get_by_text(refusal)).to_be_visible()

    def damaged(page: Page) -> None:
        expect(page.get_by_text("The consent in this link is damaged")).to_be_visible()

    def relayer(page: Page) -> None:
        expect(page.get_by_text(re.compile("^Valid: the verifier at"))).to_be_visible(
            timeout=20_000
        )
        expect(page.get_by_text("It does not show where the input came from")).to_be_visible()
        assert page.locator("details.proof dl").text_content() == public[0]
        use_dev_account(page, 4)
        page.get_by_role("button", name="Join for this account").click()
        joined = page.locator(".result").filter(has_text="0x90F7…b906 has joined clan 7.")
        expect(joined).to_be_visible(timeout=30_000)
        joined.get_by_role("button").click()
        assert page.evaluate("navigator.clipboard.readText()") == THREE
        page.reload()
        refusal = "is already in clan 7 and cannot change clans."
        expect(page.get_by_text(refusal)).to_be_visible(timeout=20_000)
        expect(page.get_by_role("button", name="Join for this account")).to_have_count(0)

    visit(prover)
    assert link[0].startswith(f"{hub.url}/#verify/")
    unsigned, _, _ = link[0].rpartition("/")
    visit(stranger, url=unsigned)
    visit(damaged, url=f"{unsigned}/none")
    visit(relayer, url=link[0])


def test_verify_any_file(visit, node, tmp_path):
    good, changed, other = (tmp_path / f"{name}.json" for name in ("good", "changed", "other"))
    made = ape(node, "prove", "--test-image", "0", "--account", "5", "--out", str(good))
    assert made.returncode == 0, made.stderr
    content = json.loads(good.read_text())
    instances = [*content["instances"][:-1], f"0x{1:064x}"]
    changed.write_text(json.dumps({**content, "instances": instances}))
    other.write_text("{}")

    def story(page: Page) -> None:
        page.get_by_role("link", name="Verify").click()
        page.set_input_files("#proof", good)
        expect(page.get_by_text(re.compile("^Valid: the verifier at"))).to_be_visible(
            timeout=20_000
        )
        expect(page.get_by_text("The model reads a 7.")).to_be_visible()
        page.set_input_files("#proof", changed)
        expect(page.get_by_text("Not valid:")).to_be_visible(timeout=20_000)
        page.set_input_files("#proof", other)
        expect(page.get_by_role("alert")).to_contain_text("This is not a proof file")

    visit(story)


def test_a_chain_that_is_gone_or_reset(visit, hub, node, manifest, genuine, tmp_path):
    """Verify tells refused, unreachable and missing apart, and nothing is sent to no contract."""
    good, again = tmp_path / "good.json", tmp_path / "again.json"
    genuine.save(good)
    sender = node.web3.eth.accounts[6]
    key = contract(node, hub, "clan").functions.keyOf(sender).call()
    prove(manifest, key, view_of("clan", "drawing")(mnist.drawings("test", 1))[0]).save(again)
    contracts = [
        address
        for one in chain_of(hub)["applications"].values()
        for address in (one["contract"], one["verifier"])
    ]
    silent = {"detail": "The chain's node does not answer."}
    nonce = node.web3.eth.get_transaction_count(sender)

    def story(page: Page) -> None:
        results, alert = page.locator(".result"), page.get_by_role("alert")
        use_dev_account(page, 6)
        page.route("**/rpc", lambda route: route.fulfill(status=503, json=silent))
        page.set_input_files("#proof", good)
        expect(alert).to_contain_text("The chain's node does not answer.")
        expect(results).to_have_count(0)
        page.unroute("**/rpc")
        page.set_input_files("#proof", again)
        expect(results.first).to_contain_text("Valid: the verifier at")
        for address in contracts:
            node.rpc("anvil_setCode", address, "0x")
        page.get_by_role("button", name="Join for this account").click()
        expect(alert).to_contain_text("The contract is not on this chain, which was perhaps reset")
        expect(alert).to_contain_text("The chain was reset: it has none of the recorded contracts")
        page.set_input_files("#proof", good)
        expect(results).to_contain_text("Not checked: the verifier at")

    visit(story, url="#verify", expected="503")
    assert node.web3.eth.get_transaction_count(sender) == nonce


def test_both_the_hub_and_the_chain_are_asked(visit, hub, genuine, tmp_path):
    """Neither a hub that lies nor a chain that accepts makes a proof valid alone."""
    good, damaged = tmp_path / "good.json", tmp_path / "damaged.json"
    genuine.save(good)
    replace(genuine, instances=[*genuine.instances[:-1], 1]).save(damaged)
    chain = chain_of(hub)
    verifier = f"the verifier at {chain['applications']['clan']['verifier']} on {chain['network']}"
    valid = post(hub, "/v1/circuits/clan/verifications", genuine.content()).json()
    assert valid["valid"]
    reason = "The proof is for another contract."

    def story(page: Page) -> None:
        results, details = page.locator(".result"), page.locator("details.proof")
        page.set_input_files("#proof", good)
        expect(results).to_have_text([f"Valid: {verifier} accepts it.", "The model reads a 7."])
        expect(details).to_have_count(1)
        answers = [{**valid, "valid": False, "reason": reason}, valid]
        page.route("**/verifications", lambda route: route.fulfill(json=answers.pop()))
        page.set_input_files("#proof", damaged)
        expect(results).to_have_text([f"Not valid: {verifier} rejects it."])
        page.set_input_files("#proof", good)
        expect(results).to_have_text([reason])
        expect(details).to_have_count(0)

    visit(story, url="#verify")


def test_everything_that_a_proof_makes_public_is_shown(visit, manifest, genuine, tmp_path):
    layout = manifest.layout
    key = genuine.key(layout)
    outputs = [output / 2 ** manifest["output_scale"] for output in genuine.outputs(layout)]
    assert min(outputs) < 0 < max(outputs)
    weights = np.exp(np.array(outputs) - max(outputs))
    shares = weights / weights.sum()
    public = {
        "account": ALICE,
        "domain: chain, contract and round": f"0x{key >> 160:023x}",
        "key": hex(key),
        "outputs": ", ".join(f"{output:.4f}" for output in outputs),
        f"proof, {len(genuine.proof)} bytes": f"0x{genuine.proof.hex()}",
    }
    packed = base64.urlsafe_b64encode(json.dumps(genuine.content()).encode()).decode()

    def story(page: Page) -> None:
        page.get_by_text("Show the proof").click()
        names, values = page.locator("details.proof dt"), page.locator("details.proof dd")
        assert dict(zip(names.all_inner_texts(), values.all_inner_texts(), strict=True)) == public
        page.get_by_text("All digits").click()
        bars = page.locator("ol.bars output")
        expect(bars).to_have_text([f"{100 * share:.1f} %" for share in shares])
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save as file").click()
        assert saved.value.suggested_filename == "clan-proof.json"
        saved.value.save_as(tmp_path / "saved.json")
        assert json.loads((tmp_path / "saved.json").read_text()) == genuine.content()

    visit(story, url=f"#verify/{packed}")


def test_files_and_links_that_are_not_proofs(visit, genuine):
    """The page refuses them without asking the hub."""
    instance = genuine.content()["instances"][0]
    changes: list[dict[str, object]] = [
        *({"circuit": circuit} for circuit in ("", "Clan", "../x", "clan?", None)),
        *({"proof": proof} for proof in ("00", "0xzz", "00x00", None)),
        *({"instances": instances} for instances in (instance, {"0": instance}, None)),
        *({"instances": [instance, other]} for other in ("0xzz", "00x00", "1", 1, None)),
    ]
    files = ["", "null", *(json.dumps({**genuine.content(), **change}) for change in changes)]

    def story(page: Page) -> None:
        refusal = page.get_by_role("alert")
        expect(refusal).to_contain_text("This is not a proof file")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))  # but for the hub's health
        for content in files:
            file = FilePayload(name="proof.json", mimeType="", buffer=content.encode())
            page.set_input_files("#proof", file)
            expect(refusal, content).to_contain_text("This is not a proof file")
        assert [url for url in asked if not url.endswith("/healthz")] == []

    visit(story, url="#verify/***")


@pytest.fixture(scope="module")
def hum(node, tmp_path_factory) -> Iterator[Manifest]:
    """A small circuit of VoiceJudge for tests that need many proofs. Its score is its input."""
    with beside(echo_in(tmp_path_factory.mktemp("hum"), "hum", 1, ECHO_ARGS, "VoiceJudge")) as made:
        result = ape(node, "deploy", "--only", "hum")
        assert result.returncode == 0, result.stderr
        yield made


def test_best_of_each_round(visit, node, hub, hum):
    """The table shows the ten newest rounds, each with its terms and its three highest scores."""
    judge, accounts = contract(node, hub, "hum"), node.web3.eth.accounts
    ether, first = 10**18, judge.functions.rounds().call()
    deadline = node.web3.eth.get_block("latest")["timestamp"] + 86_400
    send(node, judge.functions.openRound(0, ether // 4, deadline, ANYONE), value=6 * ether // 4)
    for number in range(1, 10):
        terms = number * ether // 10, number * ether, 2**40, bytes([number % 2]) * 32
        send(node, judge.functions.openRound(*terms), value=2 * number * ether)
    singers, songs = accounts[1:5], np.linspace(0.1, 0.9, 4, dtype=np.float32)[:, None]
    heights = [score_from(int(answer(hum, x)[0]), hum["output_scale"]) for x in songs]
    scored = list(zip(heights, songs, strict=True))
    assert sorted(set(heights)) == heights
    # The highest score comes last; then the account with the lowest one sings as the second best.
    claims = [*zip(singers, scored, strict=True), (singers[0], scored[2])]
    keys = [judge.functions.keyOf(account, first).call() for account, _ in claims]
    inputs = [(key, x) for key, (_, (_, x)) in zip(keys, claims, strict=True)]
    for (account, _), proof in zip(claims, prove_all(hum, inputs), strict=True):
        send(node, judge.functions.judge(first, account, proof.proof, proof.instances))
    highest = ((3, 3), (2, 0), (2, 2))  # scores, and their singers
    best = [
        f"{scored[score][0] / ether:.4f} {singers[one][:6]}…{singers[one][-4:]}"
        for score, one in highest
    ]
    ends = datetime.fromtimestamp(deadline, UTC)
    until, never = f"{ends:%d/%m/%Y, %H:%M:%S}", "after the year 9999"
    newer = [
        text
        for number in range(9, 0, -1)
        for chosen in [" (chosen singers)" * (number % 2)]
        for text in (
            *(f"{first + number}", f"0.{number}000", f"{number}", "2"),
            *(f"{never}{chosen}", "none yet"),
        )
    ]
    chain = chain_of(hub)
    chain["applications"]["voice"] = chain["applications"]["hum"]

    def story(page: Page) -> None:
        page.route("**/v1/chain", lambda route: route.fulfill(json=chain))

        def expect_rows(over: str) -> None:
            row = [str(first), "0.0000", "0.25", "2", until + over, ", ".join(best)]
            expect(page.locator("tbody td")).to_have_text([*newer, *row])

        page.clock.set_fixed_time(ends)
        page.reload()
        expect_rows("")
        page.clock.set_fixed_time(ends + timedelta(seconds=1))
        page.reload()
        expect_rows(" (over)")
        use_dev_account(page, 1)
        expect(page.get_by_text("Your credit is 0.25 ether.")).to_be_visible()

    visit(story, url="#voice", locale="en-GB", timezone_id="UTC")


def test_rank_of_a_clan(visit, node, hub, quick):
    """Equal clans rank by their digits. The clans are those of `quick`, whose proofs are fast."""
    clan, accounts = contract(node, hub, "quick"), node.web3.eth.accounts
    joining = {1: 8, 2: 3, 3: 3, 4: 5}
    claims = [
        (clan.functions.keyOf(accounts[number]).call(), np.eye(10, dtype=np.float32)[digit])
        for number, digit in joining.items()
    ]
    for number, proof in zip(joining, prove_all(quick, claims), strict=True):
        join = clan.functions.join(accounts[number], proof.proof, proof.instances)
        send(node, join, sender=number)
    chain = chain_of(hub)
    chain["applications"]["clan"] = chain["applications"]["quick"]

    def story(page: Page) -> None:
        page.route("**/v1/chain", lambda route: route.fulfill(json=chain))
        page.reload()
        expect(page.locator("ol.bars output")).to_have_text(list("0002010010"))
        expect(page.get_by_text("Clan 3 leads with 2 members.")).to_be_visible()
        mine = page.locator("p.mine")
        for number, membership in (
            (2, "You are in clan 3, number 1 of 10 with 2 members."),
            (4, "You are in clan 5, number 2 of 10 with 1 member."),
            (1, "You are in clan 8, number 3 of 10 with 1 member."),
            (5, "You have not joined a clan yet."),
        ):
            use_dev_account(page, number)
            expect(mine).to_have_text(membership)
        choose_account(page, "Disconnect")
        expect(mine).to_have_text("Connect an account to join.")

    visit(story)


def test_with_the_keyboard(visit):
    def story(page: Page) -> None:
        pad = page.locator("canvas.pad")
        pad.focus()
        page.keyboard.press("Space")
        for _ in range(16):
            page.keyboard.press("ArrowDown")
        expect(page.get_by_text("The model reads a 1.")).to_be_visible()
        page.keyboard.press("Delete")
        expect(page.get_by_text("Draw a digit.", exact=True)).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Clear")).to_be_focused()

    visit(story)


WALLET = """
const answers = %s;
const on = (_, listener) => (window.choose = listener);
window.asked = [];
const provider = { on, request: async ({ method, params }) => {
  window.asked.push(method);
  if (method in answers) {
    const answer = answers[method];
    if (answer && answer.code) throw Object.assign(new Error(answer.message), answer);
    return answer;
  }
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: params ?? [] });
  const headers = { "Content-Type": "application/json" };
  return (await (await fetch("/rpc", { method: "POST", headers, body })).json()).result;
} };
const tell = (detail) =>
  window.dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail }));
const square = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>';
const icon = "data:image/svg+xml," + encodeURIComponent(square);
const outside = "https://icons.example/icon.svg";
const announce = () => {
  tell({ info: { uuid: "1", name: "Tester", icon, rdns: "tester" }, provider });
  tell({ info: { uuid: "2", name: "Other", icon: outside, rdns: "other" }, provider: null });
  tell({ info: { uuid: "1", name: "Thief", icon, rdns: "thief" }, provider: null });
};
window.addEventListener("eip6963:requestProvider", announce);
"""
SIX = "0x976EA74026E726554dB657fA54763abd0C3a0aa9"


TERMS = {"Lowest score": "0.3", "Reward of": "0.125", "Number of": "3", "Hours": "48"}
SCORE = "a number from 0 to 1 with at most 18 decimals, such as 0.25."
ETHER = (
    "a number of ether from 0.000000000000000001 to 1,000,000,000 with at most 18 decimals, "
    "such as 0.01."
)
BROKEN = [
    *(
        ("Lowest score", score, f'The threshold is "{score}": enter {SCORE}')
        for score in ("1.000000000000000001", "-0.1", "0,3", "1e-1", "0.1234567890123456789")
    ),
    ("Lowest score", " ", f"The threshold is empty: enter {SCORE}"),
    *(
        ("Reward of", reward, f'The reward is "{reward}": enter {ETHER}')
        for reward in ("0", "1000000000.1", "ten")
    ),
    *(
        (
            "Number of",
            count,
            f'The number of rewards is "{count}": enter a whole number, 1 or more.',
        )
        for count in ("0", "1.5")
    ),
    *(
        ("Hours", hours, f'The number of hours is "{hours}": enter a whole number, 1 to 100,000.')
        for hours in ("0", "100001")
    ),
    ("Reward of", "1000000000", f"The rewards cost 3000000000 ether, and {SIX} has "),
]


def test_sponsor_opens_a_round(visit, node, hub):
    """The wallet is asked only for terms that `ape run open-round` would take."""
    judge = contract(node, hub, "voice").functions
    number, ether = judge.rounds().call(), 10**18
    before = now_on(node)

    def story(page: Page) -> None:
        alert, send = page.get_by_role("alert"), "asked.filter((one) => one.startsWith('eth_send'))"
        page.get_by_text("Open a round").click()
        offer = page.get_by_role("button", name="Open this round")
        for label, value in TERMS.items():
            page.get_by_label(label).fill(value)
        offer.click()
        expect(alert).to_contain_text("Connect an account first")
        choose_account(page, "Tester")
        for label, value, sentence in BROKEN:
            page.get_by_label(label).fill(value)
            page.keyboard.press("Enter")
            expect(alert).to_contain_text(sentence)
            page.get_by_label(label).fill(TERMS[label])
        assert page.evaluate(send) == []
        offer.click()
        expect(page.get_by_text(f"Round {number} is open until ")).to_contain_text(
            ": 3 x 0.125 ether for a score of 0.3 or more."
        )
        hashed = page.get_by_title("Copy 0x").last.get_attribute("title") or ""
        transaction = hashed.removeprefix("Copy ")
        paid.append(node.web3.eth.get_transaction(transaction))
        receipt = node.web3.eth.get_transaction_receipt(transaction)
        mined = f"is in block {receipt['blockNumber']}, for {receipt['gasUsed']:,} gas."
        expect(page.get_by_text(mined)).to_be_visible()
        row = page.locator("tbody tr").first
        expect(row.locator("td").first).to_have_text(f"{number}")
        expect(row).to_contain_text("0.3000")
        assert page.evaluate(send) == ["eth_sendTransaction"]

    paid: list[Any] = []
    visit(story, url="#voice", init=WALLET % json.dumps({"eth_requestAccounts": [SIX]}))
    sponsor, deadline, *terms = judge.roundOf(number).call()
    assert (sponsor, *terms) == (SIX, 3 * ether // 10, ether // 8, 3, ANYONE)
    assert before <= deadline - 48 * 3600 <= now_on(node)
    assert paid[0]["value"] == 3 * ether // 8


@pytest.mark.parametrize(
    "answers, sentence",
    [
        (
            {"eth_sendTransaction": {"code": 4001, "message": "no"}},
            "Nothing was sent: you rejected the request",
        ),
        (
            {"eth_chainId": "0x1", "wallet_switchEthereumChain": {"code": 4902, "message": "no"}},
            "Your wallet is on another chain",
        ),
        ({}, "has joined clan 7."),
    ],
    ids=["rejected", "wrong-chain", "joins"],
)
def test_wallet(visit, answers, sentence):
    """A wallet that announces itself refuses, is on another chain, or signs."""
    answers = {"eth_requestAccounts": [SIX], **answers}

    def story(page: Page) -> None:
        choose_account(page, "Tester")
        draw_seven(page)
        page.get_by_role("button", name="Prove this digit").click()
        page.get_by_role("button", name="Join this clan").click(timeout=60_000)
        expect(page.get_by_text(sentence)).to_be_visible(timeout=30_000)

    visit(story, init=WALLET % json.dumps(answers))


def test_wallets_with_the_keyboard(visit):
    """One dialog has the wallets with their icons, but fetches none from elsewhere."""

    def story(page: Page) -> None:
        opener, dialog = page.locator("#wallet > button"), page.get_by_role("dialog")
        wallets = dialog.get_by_role("listitem").filter(has_not_text="0x")
        expect(opener).to_be_visible()
        opener.focus()
        page.keyboard.press("Enter")
        expect(dialog).to_have_accessible_name("Choose an account")
        expect(wallets).to_have_text(["Tester", "Other"])
        expect(wallets.locator("img")).to_have_count(1)
        assert wallets.locator("img").evaluate("one => one.naturalWidth") == 9
        expect(dialog.get_by_role("button", name="Tester")).to_be_focused()
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        expect(opener).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        expect(opener).to_have_text("connected 0x976E…0aa9")
        expect(opener).to_be_focused()

    visit(story, init=WALLET % json.dumps({"eth_requestAccounts": [SIX]}))


def test_wallet_that_changes_its_account(visit):
    def story(page: Page) -> None:
        choose_account(page, "Tester")
        expect(page.get_by_text("connected 0x976E…0aa9")).to_be_visible()
        page.evaluate(f"choose(['{ADA}'])")
        expect(page.get_by_text("connected 0x7099…79C8")).to_be_visible()
        page.evaluate("choose([])")
        expect(page.get_by_role("button", name="Connect")).to_be_visible()

    visit(story, init=WALLET % json.dumps({"eth_requestAccounts": [SIX]}))


def test_nothing_is_connected(visit):
    """The page reports it, and a late prediction does not hide the message."""
    asked: list[Route] = []
    released = Event()

    def story(page: Page) -> None:
        page.route(
            "**/predictions",
            lambda route: route.continue_() if released.is_set() else asked.append(route),
        )
        with page.expect_request("**/predictions"):
            draw_seven(page)
        page.get_by_role("button", name="Prove this digit").click()
        expect(page.get_by_role("alert")).to_contain_text("Connect an account first")
        released.set()  # a slow stroke may ask again after it
        for each in asked:
            each.continue_()
        expect(page.locator("canvas.seen")).to_be_visible()
        expect(page.get_by_role("alert")).to_contain_text("Connect an account first")

    visit(story)


@pytest.mark.full  # tests/chain has the refusal, and test_wallet one by the wallet
def test_round_that_ran_out(visit, node, voice_manifest):
    """A proof made in time is submitted after the deadline."""
    open_round(node, "--reward", "1", "--hours", "1")

    def story(page: Page) -> None:
        page.goto(page.url + "#voice")
        use_dev_account(page, 7)
        page.set_input_files("#clip", REAL_VOICE)
        page.get_by_role("button", name="Prove this score").click(timeout=20_000)
        judge = page.get_by_role("button", name="Submit this score")
        expect(judge).to_be_visible(timeout=60_000)
        node.pass_time(7200)
        judge.click()
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("VoiceJudge__RoundOver", timeout=30_000)

    visit(story)


def test_score_below_the_threshold(visit, node):
    """The page says it, and neither proves nor sends it; another round may take it."""
    number = open_round(node, "--threshold", "0.9")

    def story(page: Page) -> None:
        prove = page.get_by_role("button", name="Prove this score")
        page.set_input_files("#clip", REAL_VOICE)
        expect(page.get_by_text(f"too low for round {number}, which asks for 0.9.")).to_be_visible()
        expect(prove).to_be_disabled()
        page.get_by_label("Round").select_option("0")
        expect(prove).to_be_enabled()
        expect(page.get_by_text("This score is too low")).to_have_count(0)

    visit(story, url="#voice")


RECORD = """async () => {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const recorder = new MediaRecorder(stream, { mimeType: "audio/webm" });
    const parts = [];
    recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    const over = new Promise((stop) => recorder.addEventListener("stop", stop));
    recorder.start();
    setTimeout(() => recorder.stop(), 2000);
    await over;
    const chosen = new DataTransfer();
    chosen.items.add(new File(parts, "voice.webm"));
    const field = document.querySelector("#clip");
    field.files = chosen.files;
    field.dispatchEvent(new Event("change"));
}"""


def test_recordings_of_other_formats_and_sizes(visit):
    """The browser decodes what the hub does not read; limits are said before a clip is sent."""

    def story(page: Page) -> None:
        alert, asked = page.get_by_role("alert"), []
        page.on("request", lambda request: asked.append(request.url))
        for name, size, reason in (
            ("long.wav", 9_000_001, "long.wav is larger than 9 MB: cut it to one phrase."),
            ("notes.m4a", 1000, "This browser cannot read notes.m4a: save it as wav, flac or ogg."),
        ):
            file = FilePayload(name=name, mimeType="", buffer=b"0" * size)
            page.set_input_files("#clip", file)
            expect(alert).to_have_text(reason)
            expect(page.get_by_text("Rating the recording")).to_have_count(0)
        assert not any(url.endswith("/predictions") for url in asked)
        page.evaluate(RECORD)
        expect(page.get_by_text("The judge's score is 0.")).to_be_visible()

    visit(story, url="#voice")


def test_hub_that_asks_for_a_token(visit, open_hub, tokens):

    def story(page: Page) -> None:
        draw_seven(page)
        expect(page.get_by_role("alert")).to_contain_text("This hub requires a token")
        page.get_by_label("Hub token").fill(tokens["ada"])
        page.keyboard.press("Enter")
        expect(
            page.get_by_text("Nobody has joined").or_(page.get_by_text("leads with"))
        ).to_be_visible()
        draw_seven(page)
        expect(page.get_by_text("The model reads a 7.")).to_be_visible()

    visit(story, url=open_hub.url, expected="401")


@pytest.fixture
def phone_link(node, tmp_path) -> Iterator[str]:
    """The link on the terminal of `ape run hub --lan`, while the hub runs."""
    database = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    words = ("hub", "--lan", "--port", str(free_port()), "--database", database)
    screen, terminal = pty.openpty()
    os.set_blocking(screen, False)
    process = subprocess.Popen(
        [BIN / "ape", "run", *words],
        cwd=ROOT,
        env={**os.environ, **node.environment},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    seen = bytearray()

    def shown(pattern: str) -> re.Match[str] | None:
        assert process.poll() is None, seen.decode()
        with suppress(BlockingIOError):
            seen.extend(os.read(screen, 10_000))
        plain = re.sub(r"\x1b\[[0-9;]*m|\r", "", seen.decode(errors="ignore"))
        return re.search(pattern, plain)

    try:
        link = until(lambda: shown(r"(https://\S+/#token/\S+)\n"), "the terminal shows a link")[1]
        code = io.StringIO()
        segno.make(link, error="l").terminal(code, compact=True)
        until(lambda: shown(re.escape(code.getvalue())), "the terminal shows its QR code")
        assert [name for name, _ in tokens_of(database)] == ["--lan"]
        yield link
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
        os.close(screen)
        os.close(terminal)
    assert process.returncode == 0
    assert tokens_of(database) == []  # who kept the link cannot use the next hub


def test_phone_in_the_same_network(visit, phone_link, tmp_path):
    """The link opens the page over https, where browsers let it record; other names are refused."""
    own, token = phone_link.split("/#token/")
    place = urlsplit(own)

    def story(page: Page) -> None:
        draw_seven(page)
        expect(page.get_by_text("The model reads a 7.")).to_be_visible()
        assert page.evaluate("[isSecureContext, location.hash]") == [True, ""]
        assert page.evaluate("'mediaDevices' in navigator")

    visit(story, url=phone_link, viewport=PHONE, has_touch=True, ignore_https_errors=True)
    certificate = tmp_path / "certificate.pem"
    certificate.write_text(ssl.get_server_certificate((place.hostname, place.port)))

    def asked(**headers: str) -> int:
        body = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
        return requests.post(
            f"{own}/rpc", json=body, headers=headers, verify=str(certificate), timeout=60
        ).status_code

    mine = {"Authorization": f"Bearer {token}"}
    assert asked(**mine) == asked(**mine, Origin=own) == 200
    assert asked() == asked(Authorization=f"Bearer {token}0") == 401
    for host in (f"localhost:{place.port}", place.hostname, f"{place.hostname}:1", "evil.example"):
        assert asked(**mine, Host=str(host)) == 403
    for origin in (f"http://{place.netloc}", f"https://{place.hostname}", f"{own}0", "null"):
        assert asked(**mine, Origin=origin) == 403
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{place.port}", timeout=60)


def test_record(visit):
    """The microphone plays a real voice in a loop."""

    def story(page: Page) -> None:
        page.get_by_role("button", name="Record", exact=True).click()
        expect(page.get_by_text("s left")).to_be_visible()
        page.wait_for_timeout(3500)
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_text("The judge's score is 0.")).to_be_visible(timeout=20_000)

    visit(story, url="#voice")


@pytest.mark.full  # test_a_chain_that_is_gone_or_reset has a hub without its chain
def test_hub_that_went_away(visit, node, tmp_path):
    with running(tmp_path / "gone", node) as gone:

        def story(page: Page) -> None:
            alert = page.get_by_role("alert")
            use_dev_account(page, 8)
            draw_seven(page)
            page.get_by_role("button", name="Prove this digit").click()
            join = page.get_by_role("button", name="Join this clan")
            expect(join).to_be_visible(timeout=60_000)
            gone.stop()
            join.click()
            expect(alert).to_contain_text("The hub does not respond")
            page.get_by_role("button", name="Clear").click()
            expect(alert).to_be_hidden()
            draw_seven(page)
            expect(alert).to_contain_text("The hub does not respond")

        visit(story, url=gone.url, expected="ERR_CONNECTION_REFUSED")


def test_contract_that_is_missing(visit, node):
    """A chain without deployments."""
    with node.unchanged():
        node.record.unlink()

        def story(page: Page) -> None:
            expect(page.get_by_text("clan is not deployed on")).to_be_visible()
            draw_seven(page)
            expect(page.get_by_text("The model reads a 7.")).to_be_visible()
            use_dev_account(page, 1)
            page.get_by_role("button", name="Prove this digit").click()
            expect(page.get_by_role("alert")).to_contain_text("clan is not deployed according to")

        visit(story, expected="409")


def test_first_load_is_small(visit, hub):
    """The page loads at most 300 kB, all from the hub. Prints the number."""
    seen: list[tuple[str, int]] = []

    def story(page: Page) -> None:
        page.route("**", lambda route: route.continue_())  # bypasses the browser's cache
        page.on("requestfinished", lambda r: seen.append((r.url, r.sizes()["responseBodySize"])))
        page.reload()
        expect(page.get_by_text("Draw a digit.", exact=True)).to_be_visible()
        page.wait_for_timeout(500)

    visit(story)
    assert all(url.startswith(hub.url) for url, _ in seen)
    whole = sum(size for _, size in seen)
    print(f"\nthe page's first load is {whole / 1000:.0f} kB")
    assert 50_000 < whole < 300_000
