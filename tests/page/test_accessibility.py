"""axe finds nothing on any view, light and dark; nothing is wider than a small phone."""

from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.page import scenes
from tests.page.world import HUGE, LLAMA, World

pytestmark = pytest.mark.page

Scheme = Literal["light", "dark"]
VIEWS = (
    "sign in",
    "form",
    "model list",
    "field error",
    "nothing fits",
    "queued",
    "live",
    "failed",
    "succeeded",
    "confirm",
    "history",
    "no history",
    "nodes",
    "node",
    "no nodes",
    "not there",
)


def _open(page: Page, world: World, view: str) -> None:
    if view != "sign in":
        page.request.post("/session", data={"token": "lo_launch"})
    match view:
        case "sign in":
            page.goto("/launch")
            page.get_by_role("button", name="Sign in").click()
            expect(page.locator("#token")).to_have_attribute("aria-invalid", "true")
        case "form":
            page.goto(f"/launch?model_name={LLAMA}")
            page.get_by_text("1 instance type does not fit").click()
        case "model list":
            page.goto("/launch")
            page.get_by_role("combobox", name="Model").press("ArrowDown")
            expect(page.get_by_role("listbox")).to_be_visible()
        case "field error":
            page.goto("/launch?model_name=llama")
            page.get_by_role("button", name="Launch", exact=True).click()
            expect(page.locator("#model_name-error")).to_be_visible()
        case "nothing fits":
            page.goto(f"/launch?model_name={HUGE}&max_price=0.2")
            expect(page.get_by_text("2 instance types do not fit")).to_be_visible()
        case "queued":
            page.goto(f"/launch/{world.launch({'model_name': LLAMA}).job_id}")
            expect(page.locator("#state")).to_have_text("Queued")
        case "live" | "confirm":
            page.goto(f"/launch/{scenes.begun(world).job_id}")
            expect(page.get_by_role("log")).to_contain_text("part 59")
            page.get_by_text("What was logged").click()
            if view == "confirm":
                page.get_by_role("button", name="Cancel").click()
        case "failed":
            page.goto(f"/launch/{scenes.failed(world).job_id}")
            expect(page.get_by_role("link", name="Try again")).to_be_visible()
        case "succeeded":
            record = scenes.begun(world)
            scenes.finish(world, record)
            page.goto(f"/launch/{record.job_id}")
            expect(page.get_by_role("button", name="Copy the curl snippet")).to_be_visible()
        case "history" | "no history":
            if view == "history":
                scenes.a_day(world)
            page.goto("/launches")
            expect(page.locator("#list > *")).to_be_visible()
        case "nodes" | "no nodes":
            if view == "nodes":
                scenes.a_day(world)
            page.goto("/nodes")
            expect(page.locator(".node, .empty").first).to_be_visible()
            if view == "nodes":
                page.get_by_text("1 node that is gone").click()
        case "node":
            scenes.finish(world, scenes.begun(world))
            page.goto("/nodes/node-1")
            page.get_by_role("button", name="Show key").click()
        case "not there":
            page.goto("/nodes/nothing")
            expect(page.get_by_role("heading", name="There is nothing at this address")).to_be_visible()


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_in_light_and_dark(visitor: Page, world: World, view: str) -> None:
    schemes: tuple[Scheme, ...] = ("light", "dark")
    visitor.emulate_media(color_scheme="light", reduced_motion="reduce")
    _open(visitor, world, view)
    for scheme in schemes:
        visitor.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = Axe().run(visitor)
        assert found.violations_count == 0, f"{view}, {scheme}:\n{found.generate_report()}"


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_wider_than_a_small_phone(visitor: Page, world: World, view: str) -> None:
    visitor.set_viewport_size({"width": 320, "height": 640})
    _open(visitor, world, view)
    wide = visitor.evaluate(
        """() => [...document.querySelectorAll("body *")]
            .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
            .filter((e) => !e.closest("pre, .log, .visually-hidden"))
            .map((e) => `${e.tagName}.${e.className}`).slice(0, 5)"""
    )
    assert wide == []
    assert visitor.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_long_words_of_clouds_and_nodes_break(page: Page, world: World) -> None:
    long = "x" * 400
    page.set_viewport_size({"width": 320, "height": 640})
    record = scenes.begun(world)
    record.launch["model_name"] = record.launch["request"]["model_name"] = f"org/{long}"
    record.log("node", long)
    record.note(long)
    wrong = {**scenes.BOOT, "code": long, "message": long, "hint": long, "resource": long, "log": [long]}
    record.attempt(3, {**world.offers[LLAMA][0], "instance_type": long}, "failed", error=wrong)
    record.reach("Starting vLLM", 90.0, long)
    node = world.node(record, world.offers[LLAMA][0], endpoint=f"https://{long}", state_reason=long)
    record.turn("failed", error=wrong)
    for path in (f"/launch/{record.job_id}", "/launches", "/nodes", f"/nodes/{node['id']}"):
        page.goto(path)
        expect(page.get_by_text(long).first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


@pytest.mark.parametrize("view", ["form", "live", "failed", "history", "nodes", "node"])
def test_headings_go_down_one_level_at_a_time(visitor: Page, world: World, view: str) -> None:
    _open(visitor, world, view)
    levels = visitor.locator("main :is(h1, h2, h3, h4):visible").evaluate_all("all => all.map((e) => +e.tagName[1])")
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip([0, *levels], levels, strict=False))


def test_the_skip_link_leads_past_the_navigation(page: Page) -> None:
    page.goto("/launches")
    expect(page.get_by_role("heading", name="Launches")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_screen_readers_hear_the_newest_and_not_every_word(page: Page, world: World) -> None:
    record = scenes.begun(world)
    page.goto(f"/launch/{record.job_id}")
    live = page.locator("#live")
    expect(live).to_contain_text("82 %")
    live.evaluate(
        "e => { window.said = []; new MutationObserver(() => said.push(e.textContent)).observe(e, {childList: true}) }"
    )
    for part in range(20):
        record.reach("Loading model from R2", 83 + part / 10, f"{part} of 20 GB")
    expect(page.locator("#message")).to_have_text("19 of 20 GB")
    record.turn("failed", error=scenes.BOOT)
    expect(live).to_have_text("Launch failed. vLLM ended with exit code 1 before it answered.")
    assert page.evaluate("said.length") <= 2
