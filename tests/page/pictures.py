"""Make docs/page-launch.png and docs/page-node.png: `python -m tests.page.pictures`."""

from pathlib import Path
from typing import Final

from playwright.sync_api import Page, sync_playwright

from tests.page import scenes
from tests.page.conftest import CHROMIUM
from tests.page.scripted_server import ScriptedServer
from tests.page.world import World

_DOCS: Final = Path(__file__).parents[2] / "docs"


def main() -> None:
    """Take both pictures."""
    world = World()
    server = ScriptedServer(world)
    server.start()
    live = scenes.begun(world)
    scenes.finish(world, scenes.begun(world))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(base_url=server.url, viewport={"width": 1120, "height": 760}, reduced_motion="reduce")
        page.request.post("/session", data={"token": "lo_launch"})
        page.goto(f"/launch/{live.job_id}")
        page.get_by_text("part 59 of 240").wait_for()
        _take(page, "page-launch.png")
        page.goto("/nodes/node-1")
        page.get_by_role("button", name="Show key").wait_for()
        _take(page, "page-node.png")
        browser.close()
    server.stop()


def _take(page: Page, name: str) -> None:
    page.screenshot(path=_DOCS / name)


if __name__ == "__main__":
    main()
