"""From signing in to terminating the node, by mouse and by keyboard alone."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.page import scenes
from tests.page.keyboard import tab_to
from tests.page.world import API_KEY, LLAMA, World

pytestmark = pytest.mark.page


def test_by_mouse(visitor: Page, world: World) -> None:
    page = visitor
    page.goto("/launch")
    page.get_by_label("Token", exact=True).fill("lo_launch")
    page.get_by_role("button", name="Sign in").click()

    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name=re.compile("Llama-3.1-8B")).click()
    rows = page.locator(".offers-table tbody tr")
    expect(rows).to_have_count(9)
    expect(rows.first).to_contain_text("tried first")
    expect(rows.first).to_contain_text("$0.091/h")
    expect(rows.first).to_contain_text("20.4 GiB of 22.5 GiB")

    page.get_by_label("Provider").select_option("gcp")
    expect(rows).to_have_count(2)
    assert page.get_by_label("Region").locator("option").all_inner_texts() == [
        "Any that fits",
        "us-east4: from $0.342/h",
    ]
    page.get_by_role("button", name="Any place again").click()
    page.get_by_role("button", name=re.compile("Only g6.2xlarge")).click()
    expect(page.get_by_label("Region")).to_have_value("eu-south-2")
    expect(page.get_by_label("Instance type")).to_have_value("g6.2xlarge")
    page.get_by_role("button", name="Launch", exact=True).click()

    expect(page).to_have_url(re.compile("/launch/launch-"))
    expect(page.locator("#message")).to_have_text("2 before you")
    record = next(iter(world.launches.values()))
    assert record.launch["request"]["instance_type"] == "g6.2xlarge"
    expect(page).to_have_title("Queued – Liftoff")
    record.launch["waiting_before"] = 1
    expect(page.locator("#message")).to_have_text("1 before you")

    record.turn("running", waiting_before=None)
    record.reach("Provisioning instance", 62.04, "waiting for the node's first words")
    expect(page).to_have_title("62 % – Provisioning instance – Liftoff")
    expect(page.locator("#bar")).to_have_js_property("value", 62.04)
    expect(page.locator("#percent")).to_have_text("62 %")
    expect(page.locator('.stage[data-state="running"]')).to_have_text(re.compile("Provisioning instance"))
    offered = world.offers[LLAMA][1]
    record.attempt(1, offered, "running")
    record.log("node", "boot: hello")
    expect(page.get_by_role("log")).to_contain_text("boot: hello")
    node = world.node(record, offered)
    record.reach("Registering node", 100.0, "the endpoint has answered")
    record.turn("succeeded", node=node)

    expect(page).to_have_title(f"Succeeded – {LLAMA} – Liftoff")
    page.get_by_role("button", name="Copy the curl snippet").click()
    expect(page.get_by_role("button", name="Copy the curl snippet")).to_have_text("Copied")
    assert API_KEY in page.evaluate("navigator.clipboard.readText()")

    page.get_by_role("button", name=f"Terminate {LLAMA}").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("$0.11")
    dialog.get_by_role("button", name="Keep it running").click()
    assert node["state"] == "healthy"
    page.get_by_role("button", name=f"Terminate {LLAMA}").click()
    dialog.get_by_role("button", name="Terminate").click()
    expect(page.locator(".node .pill")).to_have_text("Terminating")


def test_by_keyboard_alone(visitor: Page, world: World) -> None:
    page = visitor
    page.goto("/launch")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    tab_to(page, "#token")
    page.keyboard.type("lo_launch")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Launch a model")).to_be_focused()
    tab_to(page, "#model_name")
    page.keyboard.type("8b")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#model_name")).to_have_value(LLAMA)
    expect(page.locator(".offers-table tbody tr")).to_have_count(9)
    tab_to(page, "#submit")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name=LLAMA)).to_be_focused()
    record = next(iter(world.launches.values()))
    record.turn("running", waiting_before=None)
    record.reach("Requesting spot instance", 25.0, "g6.xlarge at aws eus2-az3")
    expect(page.locator("#percent")).to_have_text("25 %")
    tab_to(page, "#cancel")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Let it go on")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert record.launch["status"] == "running"
    expect(page.locator("#cancel")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("Cancelling")
    record.turn("cancelled")
    expect(page.get_by_role("heading", name="Cancelled")).to_be_visible()
    tab_to(page, "#outcome a")
    page.keyboard.press("Enter")
    expect(page.locator("#model_name")).to_have_value(LLAMA)


def test_a_question_that_was_dismissed_does_not_answer_the_next_one(page: Page) -> None:
    page.goto("/launch")
    expect(page.get_by_role("heading", name="Launch a model")).to_be_visible()
    # The browser tells that the first was closed only after the second was opened: as where somebody is quick.
    answers = page.evaluate(
        """async () => {
            const { confirmed } = await import("/assets/confirm.js");
            const words = { title: "Sure?", text: "", yes: "Yes", no: "No" };
            const first = confirmed(words);
            document.querySelector("#confirm").close("");
            const second = confirmed(words);
            await new Promise((resolve) => setTimeout(resolve, 100));
            document.querySelector("#confirm-yes").click();
            return Promise.all([first, second]);
        }"""
    )
    assert answers == [False, True]


def test_a_failure_says_why_and_what_to_do_and_is_tried_again(page: Page, world: World) -> None:
    record = scenes.failed(world)
    page.goto(f"/launch/{record.job_id}")
    failure = page.get_by_role("region", name="Failed: boot")
    expect(failure).to_contain_text("boot/serve_failed")
    expect(failure).to_contain_text("vLLM ended with exit code 1")
    expect(failure).to_contain_text("What to do: Read the node's last lines")
    expect(failure).to_contain_text("CUDA out of memory")
    attempts = page.locator(".attempt")
    expect(attempts).to_have_count(3)
    expect(attempts.nth(0)).to_contain_text("capacity/InsufficientInstanceCapacity")
    expect(attempts.nth(2)).to_contain_text("a second machine of this kind would fail the same way")
    expect(page.locator(".timeline tbody tr")).to_have_count(6)
    failure.get_by_role("link", name="Try again").click()
    expect(page.locator("#model_name")).to_have_value(LLAMA)
    expect(page.get_by_label("Provider")).to_have_value("aws")
    expect(page.get_by_label("Highest price")).to_have_value("0.5")


def test_an_attempt_that_somebody_cancelled_is_no_failure(page: Page, world: World) -> None:
    record = scenes.begun(world)
    error = {
        "kind": "cancelled",
        "code": "cancelled",
        "message": "cancelled",
        "hint": "run the command again",
        "log": [],
    }
    record.attempt(2, world.offers[LLAMA][1], "failed", error=error)
    record.turn("cancelled")
    page.goto(f"/launch/{record.job_id}")
    attempt = page.locator(".attempt").nth(1)
    expect(attempt).to_contain_text("Cancelled")
    expect(attempt).not_to_contain_text("run the command again")


def test_a_stage_that_was_on_twice_took_both_times(page: Page, world: World) -> None:
    record = scenes.failed(world)
    first, *rest = record.launch["timeline"]
    between = {"stage": "Provisioning instance", "started_at": first["ended_at"], "ended_at": first["ended_at"]}
    record.launch["timeline"] = [first, between, first, *rest]
    page.goto(f"/launch/{record.job_id}")
    expect(page.locator(".stage").first).to_have_text(re.compile("Validating configuration *4 s"))


def test_the_log_follows_its_end_until_somebody_scrolls_up(page: Page, world: World) -> None:
    record = scenes.begun(world)
    page.goto(f"/launch/{record.job_id}")
    log = page.get_by_role("log")
    expect(log).to_contain_text("part 59 of 240")
    assert log.evaluate("e => e.scrollTop + e.clientHeight >= e.scrollHeight - 2")
    log.evaluate("e => { e.scrollTop = 0 }")
    expect(page.get_by_role("button", name="Jump to the end")).to_be_visible()
    record.log("node", "weights: all parts verified")
    expect(log).to_contain_text("all parts verified")
    assert log.evaluate("e => e.scrollTop") == 0
    page.get_by_role("button", name="Jump to the end").click()
    assert log.evaluate("e => e.scrollTop + e.clientHeight >= e.scrollHeight - 2")
    page.get_by_role("radio", name="Engine").check(force=True)
    expect(page.get_by_text("all parts verified")).to_be_hidden()
    expect(page.get_by_text("error: InsufficientInstanceCapacity", exact=True)).to_be_visible()
