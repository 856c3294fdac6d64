"""The page's view of an application that `ape run new` wrote into a copy of the project."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.browsers import use_dev_account
from tests.hubs import Running, running
from tests.nodes import Node, own_node
from tests.tiny import write_model
from tests.typed import ape_in, copy_of_project
from zk.files import ROOT

FEATURES = ["length", "width", "height", "weight"]
CLASSES = ["oak", "elm", "ash"]
# The scores of these numbers, by class: the largest one leads by 2.1.
NUMBERS, SCORES = [1.0, 0.5, 0.0, 3.0], [3.5, 1.0, 1.4]
MATRIX = np.array([[0.5, 1, 0.2], [0, 0, 0.4], [1, 0, 0], [1, 0, 1 / 3]])


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project, with its page and two applications: one for each prover."""
    folder = copy_of_project(tmp_path_factory.mktemp("project"))
    shutil.copytree(ROOT / "web" / "dist", folder / "web" / "dist")
    model = write_model(folder / "m.onnx", matrix=MATRIX)
    x = np.random.default_rng(1).uniform(0, 3, (40, 4)).astype(np.float32)
    np.savez(folder / "x.npz", x=x, feature_names=FEATURES, target_names=CLASSES)
    given = ("--onnx", str(model), "--data", str(folder / "x.npz"))
    for words in (
        ["new", "trees", *given],
        ["new", "herbs", *given, "--prover", "groth16"],
        ["build", "--circuit", "trees"],
        ["build", "--circuit", "herbs"],
    ):
        result = ape_in(folder, None, *words)
        assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def chain() -> Iterator[Node]:
    with own_node() as started:
        yield started


@pytest.fixture(scope="module")
def served(project, chain, tmp_path_factory) -> Iterator[Running]:
    for name in ("trees", "herbs"):
        result = ape_in(project, chain, "deploy", "--only", name)
        assert result.returncode == 0, result.stderr
    with running(tmp_path_factory.mktemp("hub"), chain, project=project) as hub:
        yield hub


def take(page: Page, name: str) -> None:
    folder = ROOT / "out" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png", full_page=True)


def test_from_a_form_to_an_event(served, browser):
    def story(page: Page) -> None:
        page.goto(f"{served.url}/#trees")
        expect(page.get_by_text("No proof was sent yet.")).to_be_visible()
        expect(page.get_by_role("link", name="Trees")).to_have_attribute("aria-current", "page")
        use_dev_account(page, 1)
        type_numbers(page)
        take(page, "generic-page-answer")
        page.get_by_role("button", name="Prove this answer").click()
        page.get_by_role("button", name="Send this proof").click()
        expect(page.get_by_text("Trees accepted the proof of 0x7099…79C8")).to_be_visible()
        expect(page.get_by_role("row", name="Minted account 0x7099…79C8, class 0")).to_be_visible()
        take(page, "generic-page-event")

    browser(lambda chromium: story(chromium.new_page()))


def type_numbers(page: Page) -> None:
    """Type an input, and read the score of each class."""
    for name, value in zip(FEATURES, NUMBERS, strict=True):
        page.get_by_label(name).fill(str(value))
    for name, score in zip(CLASSES, SCORES, strict=True):
        expect(page.get_by_role("listitem").filter(has_text=name)).to_contain_text(f"{score:.1f}")


def npy(numbers: np.ndarray, folder: Path) -> bytes:
    np.save(folder / "x.npy", numbers)
    return (folder / "x.npy").read_bytes()


def test_inputs_by_file(served, browser, tmp_path):
    numbers = np.array(NUMBERS)
    good = {
        "x.npy": npy(numbers.astype(np.float32), tmp_path),
        "y.npy": npy(numbers.reshape(2, 2), tmp_path),
        "x.json": json.dumps([NUMBERS]).encode(),
        "x.csv": b"\xef\xbb\xbf1;0,5;0;3\n",
        "y.csv": b"1,0.5,0,3",
    }
    bad = {
        "short.json": (b"[1, 2]", "The model takes 4 numbers, and short.json has 2."),
        "words.json": (b'["a", 1, 2, 3]', "words.json should hold finite numbers"),
        "rows.csv": (b"1,2,3,4\n1,2,3,4\n", "rows.csv should hold finite numbers"),
        "gap.csv": (b"1,,3,4", "gap.csv should hold finite numbers"),
        "x.npy": (b"no array", "x.npy should hold finite numbers"),
    }

    def story(page: Page) -> None:
        page.goto(f"{served.url}/#trees")
        field = page.get_by_label("Drop an .npy file")
        first = page.get_by_role("listitem").filter(has_text="oak")
        for name, content in good.items():
            field.set_input_files(FilePayload(name=name, mimeType="", buffer=content))
            expect(first, name).to_contain_text("3.50")
            page.reload()
        for name, (content, reason) in bad.items():
            field.set_input_files(FilePayload(name=name, mimeType="", buffer=content))
            expect(page.get_by_role("alert"), name).to_contain_text(reason)
            expect(first).to_have_count(0)

    browser(lambda chromium: story(chromium.new_page()))


def test_a_form_that_stays_on_this_device(served, browser):
    """With Groth16, the page answers and proves itself, and names the outputs, too."""
    asked: list[tuple[str, str]] = []

    def story(page: Page) -> None:
        page.on("request", lambda request: asked.append((request.method, request.url)))
        page.goto(f"{served.url}/#herbs")
        expect(page.get_by_text("No proof was sent yet.")).to_be_visible()
        use_dev_account(page, 2)
        type_numbers(page)
        page.get_by_role("button", name="Prove this answer").click()
        send = page.get_by_role("button", name="Send this proof")
        expect(send).to_be_visible()
        expect(page.get_by_role("listitem").filter(has_text=CLASSES[0])).to_contain_text("3.5")
        send.click()
        expect(page.get_by_text("Herbs accepted the proof of 0x3C44…93BC")).to_be_visible()

    browser(lambda chromium: story(chromium.new_page()))
    assert {url for method, url in asked if method != "GET"} == {f"{served.url}/rpc"}


def test_a_hub_without_the_files_of_deployed_applications(project, chain, served, tmp_path):
    """It serves what is left."""
    taken = [
        project / path
        for name in ("trees", "herbs")
        for path in (f"apps/{name}.py", f"contracts/{name.capitalize()}.sol")
    ]
    for path in taken:
        path.rename(tmp_path / path.name)
    try:
        with running(tmp_path, chain, project=project) as hub:
            served = {one["name"]: one["application"] for one in hub.client.circuits()}
            assert served == {"herbs": None, "trees": None}
        result = ape_in(project, chain, "audit", "--network", "ethereum:local")
        assert "records no deployment" in result.stderr
    finally:
        for path in taken:
            (tmp_path / path.name).rename(path)
