"""The page proves on this device: draws, proves, joins and verifies, and the drawing stays here.

Leaves screenshots in out/.
"""

import json
import statistics
import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Request, expect

from apps.circuits import for_page
from tests.browsers import draw_seven, use_dev_account
from tests.builds import beside, built
from tests.hubs import ADA, Running, running
from tests.inputs import REAL_VOICE
from tests.nodes import Node, own_node
from tests.scale import scaled
from tests.tiny import TINY_GROTH16, echo_in
from tests.typed import ape, open_round
from zk.files import ROOT
from zk.groth16.ceremony import begun
from zk.manifest import Manifest
from zk.proof import Proof, verify

SHOTS = ROOT / "out" / "screenshots"
TURNS = 5
# The keys of `voice-groth16` take half a minute of a core.
SERVED = ["clan-groth16", "voice-groth16"][: scaled(1, 2)]
LARGEST_DOWNLOAD = 1_500_000  # bytes for proving: the worker, the constraints and the key


# The seconds of a click on the button that proves: it is disabled until the proof is made.
CLICK = """async (label) => {
  const buttons = [...document.querySelectorAll("button")];
  const prove = buttons.find((one) => one.textContent === label);
  const started = performance.now();
  prove.click();
  while (prove.disabled) await new Promise((resolve) => setTimeout(resolve, 5));
  return (performance.now() - started) / 1000;
}"""


# A file that is dropped, and is none of a ceremony.
DROPPED = """() => {
  const dropped = new DataTransfer();
  dropped.items.add(new File(["{}"], "x.json"));
  return dropped;
}"""


@pytest.fixture(scope="module")
def private() -> Manifest:
    clan, *_ = map(built, SERVED)
    return clan


@pytest.fixture(scope="module")
def chain16(private, manifest) -> Iterator[Node]:
    with own_node() as started:
        for name in ("clan", *SERVED):  # the page does not take the first
            result = ape(started, "deploy", "--only", name)
            assert result.returncode == 0, result.stderr
        yield started


@pytest.fixture(scope="module")
def served(chain16, tmp_path_factory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("hub"), chain16) as hub:
        yield hub


@pytest.fixture
def visit(browser, served):
    """Tell a story on a fresh page; fail if the page reports an error. Return the requests."""

    def visit(story, name: str, init: str = "", **options) -> list[tuple[str, str, str]]:
        asked: list[tuple[str, str, str]] = []
        complaints: list[str] = []

        def note(request: Request) -> None:
            asked.append((request.method, request.url, request.post_data or ""))

        def run(launched) -> None:
            context = launched.new_context(**options)
            context.grant_permissions(["clipboard-read", "clipboard-write"])
            page = context.new_page()
            page.add_init_script(init)
            context.on("request", note)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda said: complaints.extend([said.text] * (said.type == "error")))
            try:
                page.goto(served.url)
                story(page)
            finally:
                SHOTS.mkdir(parents=True, exist_ok=True)
                page.screenshot(path=SHOTS / f"private-{name}.png", full_page=True)
                context.close()

        browser(run)
        assert complaints == []
        return asked

    return visit


def draw_and_prove(page: Page, account: int) -> None:
    use_dev_account(page, account)
    expect(page.get_by_text("You have not joined a clan yet.")).to_be_visible()
    expect(page.get_by_text("Your drawing stays on this device")).to_be_visible()
    draw_seven(page)
    expect(page.get_by_text("The model reads a 7.")).to_be_visible()
    page.get_by_role("button", name="Prove this digit").click()
    expect(page.get_by_text("Your drawing never left this device")).to_be_visible(timeout=60_000)


# Notes the texts that the page writes into pictures.
WRITTEN = """
    window.written = [];
    const write = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...where) {
        written.push(text);
        write.call(this, text, ...where);
    };
"""


def shows_a_seven(picture: Image.Image) -> bool:
    """Return whether the picture shows the drawing, and hides nothing in its file."""
    pad = np.array(picture.convert("L"))[60:660, 240:840]
    places = (0.5, 0.2), (0.64, 0.34), (0.5, 0.68), (0.3, 0.5), (0.7, 0.7)
    drawn = [pad[int(y * 600), int(x * 600)] < 128 for x, y in places]
    return drawn == [True, True, True, False, False] and not picture.info


def test_drawing_stays_on_the_device(visit, served, private, chain16):
    """No request carries it: the page only reads files and the chain, and sends the proof.

    A picture of it is made when the member saves it.
    """
    copied, lines, pictures = list[str](), list[str](), list[Image.Image]()
    sizes: dict[str, int] = {}

    def story(page: Page) -> None:
        page.context.on("response", lambda answer: sizes.update({answer.url: _size(answer)}))
        draw_and_prove(page, 1)
        page.get_by_text("Show the proof").click()
        expect(page.locator("details.proof")).to_contain_text(ADA)
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save as file").click()
        copied.append(saved.value.path().read_text())
        page.get_by_role("button", name="Join this clan").click()
        expect(page.get_by_text("has joined clan 7.")).to_be_visible(timeout=30_000)
        expect(page.get_by_text("You are in clan 7, number 1 of 10")).to_be_visible()
        assert page.evaluate("written") == []
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save a picture").click()
        assert saved.value.suggested_filename == "verdict.png"
        pictures.append(Image.open(saved.value.path()))
        lines.extend(page.evaluate("written"))

        # The account is a member now: the page refuses a second proof before it is made.
        page.get_by_role("button", name="Prove this digit").click()
        expect(page.get_by_role("alert")).to_contain_text("is already in clan 7")

    asked = visit(story, "draw", init=WRITTEN)
    posted = {url for method, url, _ in asked if method != "GET"}
    assert posted == {f"{served.url}/rpc"}
    assert all(len(body) < 2_000 for _, _, body in asked)  # a drawing has 784 pixels, a proof less
    assert not any("0" * 28 in body.replace("0x", "") and '"drawing"' in body for *_, body in asked)
    proof = Proof.of(json.loads(copied[0]), "the page")
    verify(private, proof)
    assert lines[:2] == ["Clan 7", f"{ADA[:6]}…{ADA[-4:]} on ethereum:local"]
    sent = chain16.web3.eth.get_transaction(lines[2].removeprefix("Transaction "))
    assert (sent["from"], len(lines)) == (ADA, 3)
    assert shows_a_seven(pictures[0])
    downloaded = [size for url, size in sizes.items() if "/files/" in url or "prover" in url]
    assert len(downloaded) == 3
    assert sum(downloaded) <= LARGEST_DOWNLOAD


def _size(answer) -> int:
    return int(answer.headers.get("content-length", 0))


@pytest.mark.full
def test_recording_stays_on_the_device(visit, served, chain16):
    """Rate, prove and submit a song: no request carries it."""
    assert open_round(chain16, "--circuit", "voice-groth16", "--threshold", "0.2") == 0

    def story(page: Page) -> None:
        page.goto(f"{served.url}/#voice")
        use_dev_account(page, 1)
        expect(page.get_by_text("Your recording stays on this device")).to_be_visible()
        page.locator("#clip").set_input_files(REAL_VOICE)
        expect(page.get_by_text("The judge's score is")).to_be_visible()
        page.get_by_role("button", name="Prove this score").click()
        expect(page.get_by_text("Your recording never left this device")).to_be_visible(
            timeout=60_000
        )
        seconds = page.evaluate(CLICK, "Prove this score")
        print(f"seconds to a second proof of a score: {seconds:.2f}")
        page.get_by_role("button", name="Submit this score").click()
        expect(page.get_by_text("has earned the reward of round 0.")).to_be_visible()

    asked = visit(story, "sing")
    assert {url for method, url, _ in asked if method != "GET"} == {f"{served.url}/rpc"}
    assert all(len(body) < 2_000 for _, _, body in asked)


# A device that shares files.
SHARING = """
    let asked = 0;
    navigator.canShare = ({ files }) => files[0].type === "image/png";
    navigator.share = async ({ files: [file] }) => {
        if (!asked++) throw new DOMException("", "AbortError");
        window.shared = [file.name, file.type, file.size];
    };
"""


def test_phone_in_the_dark(visit):
    """The device shares pictures, and the first time its user changes their mind."""

    def story(page: Page) -> None:
        draw_and_prove(page, 2)
        page.get_by_role("button", name="Join this clan").click()
        share = page.get_by_role("button", name="Share a picture")
        share.click()
        expect(share).to_be_enabled()
        expect(page.get_by_role("alert")).to_be_hidden()
        share.click()
        expect(share).to_be_enabled()
        name, kind, size = page.evaluate("shared")
        assert (name, kind) == ("verdict.png", "image/png")
        assert size > 10_000

    options = {"viewport": {"width": 390, "height": 800}, "color_scheme": "dark"}
    visit(story, "phone", init=SHARING, **options, has_touch=True)


def test_link_is_verified_by_the_page_itself(visit, served):
    """The page checks a proof with the circuit's key, and a changed one is not valid."""

    def story(page: Page) -> None:
        draw_and_prove(page, 3)
        page.get_by_role("button", name="Sign a link for a relayer").click()
        page.get_by_role("button", name="Copy a link for a relayer").click()
        link = page.evaluate("navigator.clipboard.readText()")
        page.goto("about:blank")
        page.goto(link)
        expect(page.get_by_text("accepts it, and so does this page.")).to_be_visible()
        expect(page.get_by_text("The model reads a 7.")).to_be_visible()

    visit(story, "verify")


def test_changed_file_is_not_used(visit, served):
    """A proving key with another hash is refused, even if the hub's machine gives it."""

    def story(page: Page) -> None:
        page.context.route("**/files/pk", lambda route: route.fulfill(body=b"\0" * 1000))
        use_dev_account(page, 4)
        draw_seven(page)
        expect(page.get_by_text("The model reads a 7.")).to_be_visible()
        page.get_by_role("button", name="Prove this digit").click()
        expect(page.get_by_role("alert")).to_contain_text("The file pk of this circuit has not")

    visit(story, "changed")


def test_empty_drawing_is_refused(visit):
    def story(page: Page) -> None:
        use_dev_account(page, 5)
        page.get_by_role("button", name="Prove this digit").click()
        expect(page.get_by_role("alert")).to_contain_text("The drawing is empty")

    visit(story, "empty")


@pytest.fixture
def small(tmp_path) -> Iterator[Manifest]:
    """A circuit whose key has few points."""
    with beside(echo_in(tmp_path, "small", 1, TINY_GROTH16)) as made:
        yield made


def test_click_contributes_to_a_ceremony(visit, served, small, tmp_path):
    """The command accepts the file that the page saves. The file is in no request."""
    opened, saved = tmp_path / "opened.json", tmp_path / "saved.json"
    begun("small", small.file("constraints"), small.file("srs")).contributed("Ada").save(opened)

    def story(page: Page) -> None:
        page.goto(f"{served.url}/#verify")
        page.get_by_role("link", name="Contribute to it").click()
        contribute = page.get_by_role("button", name="Contribute")
        contribute.click()
        expect(page.get_by_role("alert")).to_contain_text("Open the file first")
        chosen = page.get_by_label("Drop the file of the ceremony here")
        page.dispatch_event("label.drop", "drop", {"dataTransfer": page.evaluate_handle(DROPPED)})
        page.get_by_label("Your name").fill("Bob")
        contribute.click()
        expect(page.get_by_role("alert")).to_contain_text("This is not the file of a ceremony")
        chosen.set_input_files(opened)
        with page.expect_download() as download:
            contribute.click()
        assert download.value.suggested_filename == "small-2.json"
        download.value.save_as(saved)
        expect(page.get_by_text("The contributions to small are Ada, Bob.")).to_be_visible()

    asked = visit(story, "ceremony")
    assert {url for method, url, _ in asked if method != "GET"} <= {f"{served.url}/rpc"}
    assert all(len(body) < 2_000 for *_, body in asked)
    verified = ape(None, "ceremony", "verify", str(saved), "--json")
    assert json.loads(verified.stdout) == {"contributions": 2, "beacon": False}, verified.stderr


@pytest.mark.full
def test_browser_proves_in_half_the_time_of_the_hub(visit, served, views):
    """Warm, in turn: the page with Groth16, and the hub with ezkl."""
    page_seconds, hub_seconds = list[float](), list[float]()

    def story(page: Page) -> None:
        draw_and_prove(page, 6)
        for number in range(TURNS):
            page_seconds.append(page.evaluate(CLICK, "Prove this digit"))
            expect(page.get_by_text("Your drawing never left this device")).to_be_visible()
            account = f"0x{number + 1:040x}"
            started = time.perf_counter()
            served.client.prove("clan", account, views[number])
            hub_seconds.append(time.perf_counter() - started)

    visit(story, "warm")
    page_median, hub_median = map(statistics.median, (page_seconds, hub_seconds))
    print(f"seconds to a proof: {page_median:.2f} on the page, {hub_median:.2f} by the hub")
    assert page_median <= 0.5 * hub_median


def test_hub_proves_with_it_too(served, private, views):
    """For clients that trust the hub, such as `ape run prove --hub`."""
    proof = served.client.prove("clan-groth16", f"0x{9:040x}", views[0])
    verify(private, proof)


def test_the_hub_plays_with_it():
    assert for_page() == ["clan-groth16", "voice-groth16"]
