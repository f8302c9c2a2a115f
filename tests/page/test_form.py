"""The form: one launch per submission, errors at their fields, and what to do when nothing fits."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.page import scenes
from tests.page.world import HUGE, LLAMA, World

pytestmark = pytest.mark.page


def _launch(page: Page) -> None:
    page.get_by_role("button", name="Launch", exact=True).click()


def test_a_double_click_makes_one_launch(page: Page, world: World) -> None:
    page.goto(f"/launch?model_name={LLAMA}")
    expect(page.locator(".offers-table")).to_be_visible()
    page.get_by_role("button", name="Launch", exact=True).dblclick()
    expect(page).to_have_url(re.compile("/launch/launch-"))
    assert len(world.launches) == 1
    assert len(set(world.keys)) == 1


def test_a_second_try_after_a_lost_answer_makes_one_launch(page: Page, world: World) -> None:
    page.goto(f"/launch?model_name={LLAMA}")
    expect(page.locator(".offers-table")).to_be_visible()
    lost: list[str] = []

    def lose(route: object) -> None:
        # The server does it; its answer never arrives.
        route.fetch()  # type: ignore[attr-defined]
        lost.append("once")
        route.abort()  # type: ignore[attr-defined]

    page.route("**/admin/instances/launch", lose, times=1)
    _launch(page)
    expect(page.get_by_role("alert").first).to_contain_text("Launching again is safe")
    assert lost == ["once"]
    page.reload()
    expect(page.locator(".offers-table")).to_be_visible()
    _launch(page)
    expect(page).to_have_url(re.compile("/launch/launch-"))
    assert len(world.launches) == 1
    assert len(world.keys) == 2
    assert len(set(world.keys)) == 1


def test_another_launch_has_another_key(page: Page, world: World) -> None:
    for _ in range(2):
        page.goto(f"/launch?model_name={LLAMA}")
        expect(page.locator(".offers-table")).to_be_visible()
        _launch(page)
        expect(page).to_have_url(re.compile("/launch/launch-"))
    assert len(world.launches) == 2
    assert len(set(world.keys)) == 2


def test_an_error_stands_at_its_field_which_has_the_focus(page: Page, world: World) -> None:
    page.goto("/launch?model_name=llama")
    _launch(page)
    field = page.get_by_label("Model", exact=True)
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(re.compile("“llama” can't be used. Allowed: a model of the catalog"))
    expect(page.get_by_role("alert")).to_contain_text("choose one of GET /admin/catalog")
    assert not world.launches


def test_an_error_that_names_no_field_is_told_with_its_hint(page: Page) -> None:
    page.route(
        "**/admin/instances/launch",
        lambda route: route.fulfill(
            status=409,
            content_type="application/problem+json",
            json={"title": "conflict", "status": 409, "code": "busy", "detail": "Too many launches.", "hint": "Wait."},
        ),
    )
    page.goto(f"/launch?model_name={LLAMA}")
    expect(page.locator(".offers-table")).to_be_visible()
    _launch(page)
    expect(page.get_by_role("alert")).to_contain_text("Too many launches.")
    expect(page.get_by_role("alert")).to_contain_text("Wait.")


def test_nothing_fits_says_why_and_what_to_change(page: Page, world: World) -> None:
    page.goto(f"/launch?model_name={LLAMA}&max_price=0.01")
    expect(page.get_by_text(f"Nothing that is asked for fits {LLAMA}")).to_be_visible()
    _launch(page)
    expect(page.locator("#model_name-error")).to_contain_text("No machine that is asked for fits it")
    page.get_by_role("button", name="No price limit (now $0.01/h)").click()
    expect(page.locator(".offers-table tbody tr")).to_have_count(9)
    page.goto(f"/launch?model_name={HUGE}")
    expect(page.get_by_text("8x H100 have 632 GiB")).to_be_visible()
    assert not world.launches


def test_only_combinations_that_exist_can_be_chosen(page: Page) -> None:
    page.goto(f"/launch?model_name={LLAMA}")
    provider, region, kind = (page.get_by_label(name) for name in ("Provider", "Region", "Instance type"))
    expect(provider.locator("option")).to_have_count(4)
    region.select_option("eastus")
    assert [option.split(":")[0] for option in provider.locator("option").all_inner_texts()] == [
        "Any that fits",
        "Azure",
    ]
    kind.select_option("Standard_NC24ads_A100_v4")
    expect(page.locator(".offers-table tbody tr")).to_have_count(1)
    page.get_by_label("Context needed").fill("200000")
    expect(page.get_by_role("button", name="A shorter context")).to_be_visible()


def test_an_on_demand_row_is_not_undercut_by_spot(page: Page) -> None:
    page.goto(f"/launch?model_name={LLAMA}&market=auto")
    page.get_by_role("button", name=re.compile("Show 3 more")).click()
    page.get_by_role("button", name=re.compile(r"Only g6.xlarge, .*\$0.805")).click()
    expect(page.get_by_label("Market")).to_have_value("on-demand")
    expect(page.locator(".offers-table tbody tr")).to_have_count(1)


def test_this_host_is_offered_to_see_the_whole_way(page: Page, world: World) -> None:
    page.goto("/launch")
    page.get_by_role("button", name="Use this host").click()
    row = page.locator(".offers-table tbody tr")
    expect(row).to_contain_text("free")
    expect(row).to_contain_text("CPU only")
    row.get_by_role("button").click()
    expect(row.get_by_role("button")).to_have_attribute("aria-pressed", "true")
    _launch(page)
    expect(page).to_have_url(re.compile("/launch/launch-"))
    request = next(iter(world.launches.values())).launch["request"]
    assert (request["model_name"], request["provider"]) == ("tiny-llama", "local")
    assert (request["region"], request["instance_type"]) == (None, None)


def test_an_empty_idle_limit_is_never(page: Page, world: World) -> None:
    page.goto(f"/launch?model_name={LLAMA}")
    expect(page.locator(".offers-table")).to_be_visible()
    page.get_by_label("Ends when idle for").fill("")
    _launch(page)
    expect(page).to_have_url(re.compile("/launch/launch-"))
    record = next(iter(world.launches.values()))
    assert record.launch["request"]["idle_minutes"] is None
    record.turn("cancelled")
    page.get_by_role("link", name="Try again").click()
    expect(page.get_by_label("Ends when idle for")).to_have_value("")


def test_a_token_that_may_only_look_is_told_so(onlooker: Page, world: World) -> None:
    page = onlooker
    reason = re.compile("The token wall-screen may only look")
    page.goto(f"/launch?model_name={LLAMA}")
    launch = page.get_by_role("button", name="Launch", exact=True)
    expect(launch).to_be_disabled()
    expect(launch).to_have_accessible_description(reason)
    record = scenes.begun(world)
    page.goto(f"/launch/{record.job_id}")
    expect(page.get_by_role("button", name="Cancel")).to_be_disabled()
    expect(page.get_by_role("button", name="Cancel")).to_have_accessible_description(reason)
    scenes.finish(world, record)
    page.goto("/nodes/node-1")
    terminate = page.get_by_role("button", name=f"Terminate {LLAMA}")
    expect(terminate).to_be_disabled()
    expect(terminate).to_have_accessible_description(reason)
    assert world.access_asked == []
