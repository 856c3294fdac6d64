"""The one browser of a test run, and what people do in it."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import soundfile
from playwright.sync_api import Page, sync_playwright

from tests.inputs import REAL_VOICE

# A browser that connects to nothing on the internet, with one process for each page.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
QUIET += ["--disable-site-isolation-trials"]


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Debian's Chromium, whose microphone hears a real voice.

    It runs in a separate thread, because its event loop conflicts with Ape's.
    """
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if not path:
        pytest.fail("There is no Chromium: install one (Debian: apt install chromium).")
    heard = tmp_path_factory.mktemp("microphone") / "voice.wav"
    soundfile.write(heard, *soundfile.read(REAL_VOICE))
    microphone = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={heard}",
    ]
    with ThreadPoolExecutor(1) as thread:
        playwright = thread.submit(lambda: sync_playwright().start()).result()
        launched = thread.submit(
            lambda: playwright.chromium.launch(executable_path=path, args=QUIET + microphone)
        ).result()
        yield lambda task: thread.submit(task, launched).result()
        thread.submit(launched.close).result()
        thread.submit(playwright.stop).result()


def draw_seven(page: Page, right: float = 0, down: float = 0) -> None:
    box = page.locator("canvas.pad").bounding_box()
    assert box
    points = [(x + right, y + down) for x, y in ((0.3, 0.2), (0.7, 0.2), (0.45, 0.8))]
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for point in at[1:]:
        page.mouse.move(*point, steps=12)
    page.mouse.up()


def choose_account(page: Page, name: str) -> None:
    """Choose a wallet, or another button of the dialog for accounts."""
    page.locator("#wallet > button").click()
    page.get_by_role("dialog").get_by_role("button", name=name).click()


def use_dev_account(page: Page, number: int) -> None:
    choose_account(page, f"{number}: 0x")
