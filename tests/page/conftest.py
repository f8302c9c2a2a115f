"""A browser, the scripted server, and a page that is signed in."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.page.scripted_server import ScriptedServer
from tests.page.world import World

CHROMIUM = Path(os.environ.get("LIFTOFF_CHROMIUM", "/usr/bin/chromium"))
# The page itself asks again every five seconds.
expect.set_options(timeout=15_000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.fail(f"these tests need {CHROMIUM}: apt-get install chromium, or set LIFTOFF_CHROMIUM")
    with sync_playwright() as playwright:
        # Chromium's own sandbox refuses to run as root.
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=60_000)
        yield launched
        launched.close()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def server(world: World) -> Iterator[ScriptedServer]:
    running = ScriptedServer(world)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def visitor(browser: Browser, server: ScriptedServer) -> Iterator[Page]:
    """A page that nobody has signed in on. Its scripts may not fail, nor break their own security policy."""
    context = browser.new_context(
        base_url=server.url, viewport={"width": 1280, "height": 900}, reduced_motion="reduce", locale="en-GB"
    )
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(15_000)
    wrong: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            wrong.append(message.text)

    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", heard)
    yield page
    context.close()
    assert wrong == []


@pytest.fixture
def page(visitor: Page) -> Page:
    visitor.request.post("/session", data={"token": "lo_launch"})
    return visitor


@pytest.fixture
def onlooker(visitor: Page) -> Page:
    """A page whose token may only look."""
    visitor.request.post("/session", data={"token": "lo_read"})
    return visitor
