"""A reload or a restart of the server loses nothing, and repeats nothing."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.page import scenes
from tests.page.scripted_server import ScriptedServer
from tests.page.world import Record, World

pytestmark = pytest.mark.page


def _lines(page: Page) -> list[str]:
    return page.locator(".line-text").all_inner_texts()


def _said(record: Record) -> list[str]:
    return [line for _, kind, data in record.events if kind == "log" for line in data["lines"]]


def test_a_reload_in_the_middle_shows_all_again(page: Page, world: World) -> None:
    record = scenes.begun(world)
    page.goto(f"/launch/{record.job_id}")
    expect(page.get_by_role("log")).to_contain_text("part 59 of 240")
    page.reload()
    expect(page.get_by_role("log")).to_contain_text("part 59 of 240")
    assert _lines(page) == _said(record)
    expect(page.locator("#percent")).to_have_text("82.4 %")
    expect(page.locator(".attempt")).to_have_count(2)
    expect(page.locator(".notes li")).to_have_count(1)
    record.reach("Starting vLLM", 90.0, "compiling for this GPU")
    expect(page).to_have_title("90 % – Starting vLLM – Liftoff")


def test_a_restart_of_the_server_loses_and_repeats_nothing(page: Page, world: World, server: ScriptedServer) -> None:
    record = scenes.begun(world)
    page.goto(f"/launch/{record.job_id}")
    expect(page.get_by_role("log")).to_contain_text("part 59 of 240")
    server.stop()
    expect(page.locator("#lost")).to_have_text(re.compile("Connection lost, trying again"))
    record.log("node", "weights: all parts verified")
    record.note("said while nobody could hear it")
    record.reach("Starting vLLM", 90.5, "compiling for this GPU")
    server.start()
    expect(page.locator("#lost")).to_be_hidden(timeout=30_000)
    expect(page).to_have_title("90 % – Starting vLLM – Liftoff")
    record.log("node", "vllm: application startup complete")
    expect(page.get_by_role("log")).to_contain_text("application startup complete")
    assert _lines(page) == _said(record)
    expect(page.locator(".notes li")).to_have_count(2)


def test_a_stream_that_begins_anew_repeats_nothing(page: Page, world: World) -> None:
    record = scenes.begun(world)
    page.goto(f"/launch/{record.job_id}")
    expect(page.get_by_role("log")).to_contain_text("part 59 of 240")
    # An answer that is no stream ends the browser's own way to resume; the page begins a new one.
    page.route("**/admin/instances/events*", lambda route: route.fulfill(status=502, body="bad gateway"))
    page.evaluate("window.dispatchEvent(new Event('offline'))")
    page.reload()
    expect(page.locator("#lost")).to_be_visible()
    page.unroute("**/admin/instances/events*")
    expect(page.locator("#lost")).to_be_hidden(timeout=30_000)
    expect(page.get_by_role("log")).to_contain_text("part 59 of 240")
    assert _lines(page) == _said(record)


def test_nodes_say_that_what_they_show_may_be_old(page: Page, world: World, server: ScriptedServer) -> None:
    scenes.finish(world, scenes.begun(world))
    page.goto("/nodes")
    expect(page.locator(".node")).to_have_count(1)
    server.stop()
    expect(page.locator("#lost")).to_be_visible()
    next(iter(world.nodes.values())).update(state="unhealthy", state_reason="No answer to the last 3 health checks.")
    server.start()
    expect(page.locator("#lost")).to_be_hidden()
    expect(page.locator(".node .pill")).to_have_text("Unhealthy")


def test_a_session_that_ended_asks_again_and_comes_back(page: Page, world: World) -> None:
    page.goto("/launch")
    expect(page.get_by_role("heading", name="Launch a model")).to_be_visible()
    world.sessions.clear()
    page.get_by_role("link", name="Nodes").click()
    page.get_by_label("Token", exact=True).fill("lo_launch")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Nodes")).to_be_visible()
    expect(page).to_have_url(re.compile("/nodes$"))


def test_a_session_that_ended_with_the_server_asks_again_in_mid_launch(
    page: Page, world: World, server: ScriptedServer
) -> None:
    record = scenes.begun(world)
    page.goto(f"/launch/{record.job_id}")
    expect(page.locator("#percent")).to_have_text("82.4 %")
    server.stop()
    world.sessions.clear()
    server.start()
    page.get_by_label("Token", exact=True).fill("lo_launch", timeout=30_000)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#percent")).to_have_text("82.4 %")
