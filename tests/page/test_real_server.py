"""The page over the real server, whose launches are real machines of this host."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.keyboard import tab_to
from tests.page.real_server import RealServer
from tests.page.world import STAGES

# A host that does much else boots a machine many times slower.
pytestmark = [pytest.mark.page, pytest.mark.machine, pytest.mark.timeout(1200)]

BOOT_SECONDS = 600.0
READY = "Ready"
SHOWN = (*STAGES, READY)
PICTURES = os.environ.get("LIFTOFF_PICTURES")
# What the page has shown of the stages, kept through its reloads.
WATCH = """
new MutationObserver(() => {
  const shown = document.querySelector("#stage")?.textContent;
  const seen = JSON.parse(sessionStorage.getItem("seen") ?? "[]");
  if (shown && seen.at(-1) !== shown) sessionStorage.setItem("seen", JSON.stringify([...seen, shown]));
}).observe(document, { subtree: true, childList: true, characterData: true });
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealServer]:
    running = RealServer(tmp_path)
    yield running
    left = running.left()
    if left:
        running.clear()
    running.stop()
    assert left == [], running.said()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce", locale="en-GB")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.add_init_script(WATCH)
    wrong: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    context.close()
    assert wrong == []


def _await(page: Page, holds: Callable[[], bool], what: str, seconds: float = BOOT_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what} not within {seconds} s; the page says:\n{_text(page)}"
        page.wait_for_timeout(100)


def _text(page: Page) -> str:
    return page.locator("#main").inner_text()


def _reached(page: Page, stage: str) -> Callable[[], bool]:
    def reached() -> bool:
        assert page.locator(".failure").count() == 0, _text(page)
        shown = page.locator("#stage").inner_text()
        return shown in SHOWN and SHOWN.index(shown) >= SHOWN.index(stage)

    return reached


def _picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def test_by_mouse_through_a_reload_and_a_crash_of_the_server_to_a_completion_and_back_to_nothing(
    page: Page, server: RealServer, tmp_path: Path
) -> None:
    page.goto(server.start())
    expect(page.get_by_role("heading", name="Launch a model")).to_be_visible()
    assert "token" not in page.url
    page.get_by_role("button", name="Use this host").click()
    expect(page.locator(".offers-table tbody tr")).to_have_count(1)
    _picture(page, "form")
    page.get_by_role("button", name="Launch", exact=True).click()
    expect(page.get_by_role("heading", name="tiny-llama")).to_be_visible()

    _await(page, _reached(page, STAGES[2]), STAGES[2])
    _picture(page, "provisioning")
    page.reload()
    expect(page.locator("#state")).to_have_text("Running")
    server.kill()
    expect(page.locator("#lost")).to_contain_text("Connection lost")
    _picture(page, "lost")
    server.start()
    expect(page.locator("#lost")).to_be_hidden()
    expect(page.locator("#state")).to_have_text("Running")

    _await(page, _reached(page, READY), READY)
    expect(page.locator("#state")).to_have_text("Succeeded")
    seen = page.evaluate("JSON.parse(sessionStorage.getItem('seen'))")
    assert seen[-1] == READY
    _picture(page, "ready")
    expect(page.locator('.stage[data-state="done"]')).to_have_count(len(STAGES))
    rows = page.locator(".timeline tbody th").all_inner_texts()
    assert list(dict.fromkeys(rows)) == list(STAGES)

    page.get_by_role("button", name="Copy the curl snippet").click()
    expect(page.get_by_role("button", name="Copy the curl snippet")).to_have_text("Copied")
    snippet = page.evaluate("navigator.clipboard.readText()")
    answered = subprocess.run(
        ["bash", "-e", "-c", snippet],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert '"choices"' in answered.stdout, answered.stdout

    page.get_by_role("button", name="Terminate tiny-llama").click()
    page.get_by_role("dialog").get_by_role("button", name="Terminate").click()
    expect(page.locator(".node .pill")).to_have_text("Terminating")
    expect(page.locator(".node .pill")).to_have_text("Gone", timeout=120_000)
    _picture(page, "gone")
    for view in ("launches", "nodes"):
        page.get_by_role("link", name=view.capitalize(), exact=True).first.click()
        expect(page.get_by_role("heading", level=1)).to_have_text(view.capitalize())
        expect(page.locator("#list")).not_to_have_attribute("aria-busy", "true")
        _picture(page, view)


def test_by_keyboard_to_a_running_launch_and_back_to_nothing(page: Page, server: RealServer) -> None:
    page.goto(server.start())
    expect(page.get_by_role("heading", name="Launch a model")).to_be_visible()
    tab_to(page, "#choose-local")
    page.keyboard.press("Enter")
    expect(page.locator("#submit")).to_be_focused()
    expect(page.locator(".offers-table tbody tr")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="tiny-llama")).to_be_focused()
    _await(page, _reached(page, STAGES[1]), STAGES[1])
    tab_to(page, "#cancel")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Let it go on")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("Cancelling")
    expect(page.get_by_role("heading", name="Cancelled")).to_be_visible(timeout=120_000)
    _picture(page, "cancelled")
