"""Nodes and history: empty and full, and what stays secret."""

import pytest
from playwright.sync_api import Page, expect

from tests.page import scenes
from tests.page.world import API_KEY, LLAMA, World, moment

pytestmark = pytest.mark.page


def test_an_empty_history_tells_how_to_launch(page: Page) -> None:
    page.goto("/launches")
    expect(page.get_by_role("heading", name="Nothing was launched yet")).to_be_visible()
    page.get_by_role("link", name="Try it on this host").click()
    expect(page.get_by_label("Model", exact=True)).to_have_value("tiny-llama")
    expect(page.get_by_label("Provider")).to_have_value("local")


def test_no_nodes_tells_how_to_get_one(page: Page) -> None:
    page.goto("/nodes")
    expect(page.get_by_role("heading", name="No node is running")).to_be_visible()
    page.get_by_role("link", name="Launch a model").click()
    expect(page.get_by_role("heading", name="Launch a model")).to_be_focused()


def test_the_history_has_pages_and_a_filter(page: Page, world: World) -> None:
    scenes.a_day(world)
    page.goto("/launches")
    rows = page.locator(".history tbody tr")
    expect(rows).to_have_count(20)
    page.get_by_role("link", name="Older").click()
    expect(rows).to_have_count(11)
    page.get_by_role("link", name="Newest").click()
    expect(rows).to_have_count(20)
    page.get_by_label("Status").select_option("failed")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("boot/serve_failed")
    expect(page).to_have_url("/launches?status=failed")
    page.go_back()
    expect(rows).to_have_count(20)
    page.get_by_label("Status").select_option("cancelling")
    expect(page.get_by_text("No launch is cancelling.")).to_be_visible()


def test_the_key_is_on_the_page_only_while_it_is_shown(page: Page, world: World) -> None:
    scenes.finish(world, scenes.begun(world))
    page.goto("/nodes")
    expect(page.locator(".node")).to_be_visible()
    assert world.access_asked == []
    page.get_by_text("Call it: curl and Python").click()
    expect(page.get_by_role("button", name="Copy the curl snippet")).to_be_visible()
    assert API_KEY not in page.content()
    page.get_by_role("button", name="Show key").click()
    assert page.content().count(API_KEY) == 3
    page.get_by_role("button", name="Hide key").click()
    assert API_KEY not in page.content()
    page.get_by_role("button", name="Copy the Python snippet").click()
    assert API_KEY in page.evaluate("navigator.clipboard.readText()")
    assert API_KEY not in page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")


def test_nodes_keep_what_is_open_while_they_are_read_again(page: Page, world: World) -> None:
    node = scenes.finish(world, scenes.begun(world))
    page.goto("/nodes")
    page.get_by_text("Call it: curl and Python").click()
    button = page.get_by_role("button", name="Show key")
    button.focus()
    node.update(state="unhealthy", state_reason="No answer to the last 3 health checks.", cost_so_far=0.12)
    expect(page.locator(".node-reason")).to_have_text("No answer to the last 3 health checks.")
    expect(page.locator(".cost")).to_have_text("$0.12")
    expect(button).to_be_focused()


def test_the_time_without_an_endpoint_is_told_in_plain_words(page: Page, world: World) -> None:
    node = scenes.finish(world, scenes.begun(world))
    node.update(state="interrupted", state_reason="its cloud takes it back", interruption=scenes.interruption())
    page.goto("/nodes")
    expect(page.locator(".node .pill")).to_have_text("Taken back")
    expect(page.locator(".node")).to_contain_text("Without an endpoint34 s so far; another node is being launched")
    expect(page.get_by_role("link", name="another node")).to_have_attribute("href", "/launch/launch-next")
    node["interruption"] = scenes.interruption(restored_at=moment(), seconds_without_endpoint=74.2)
    expect(page.locator(".node")).to_contain_text("1 min 14 s, until another node was there")
    node.update(interruption=None, replaces={"node_id": "node-0", "seconds_without_endpoint": 74.2}, state="healthy")
    expect(page.locator(".node")).to_contain_text("1 min 14 s, after a node that its cloud took back")
    expect(page.get_by_role("link", name="a node that its cloud took back")).to_have_attribute("href", "/nodes/node-0")


def test_a_node_is_terminated_from_the_list(page: Page, world: World) -> None:
    node = scenes.finish(world, scenes.begun(world))
    page.goto("/nodes")
    page.get_by_role("button", name=f"Terminate {LLAMA}").click()
    page.get_by_role("dialog").get_by_role("button", name="Terminate").click()
    expect(page.locator(".node .pill")).to_have_text("Terminating")
    node.update(state="gone", ended_at="2026-01-01T00:00:00Z")
    expect(page.get_by_role("heading", name="No node is running")).to_be_visible()
    expect(page.get_by_text("1 node that is gone")).to_be_visible()


def test_what_nodes_and_clouds_say_never_becomes_markup(page: Page, world: World) -> None:
    bad = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    record = scenes.begun(world)
    record.log("node", bad)
    record.note(bad)
    record.reach("Loading model from R2", 83.0, bad)
    record.turn("failed", error={**scenes.BOOT, "message": bad, "hint": bad, "log": [bad]})
    page.goto(f"/launch/{record.job_id}")
    expect(page.locator(".failure-message")).to_have_text(bad)
    assert page.locator("main img, main script").count() == 0
