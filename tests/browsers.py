"""The one browser of a test run."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import soundfile
from playwright.sync_api import sync_playwright

from tests.inputs import REAL_VOICE

# A browser that connects to nothing on the internet.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


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
