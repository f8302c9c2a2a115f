"""Signing in, by hand and by a link."""

import pytest
from playwright.sync_api import Page, expect

from tests.page.world import World

pytestmark = pytest.mark.page


def test_a_link_with_a_token_signs_in_and_leaves_no_trace(visitor: Page) -> None:
    visitor.goto("/launches?status=failed#token=lo_launch")
    expect(visitor.get_by_role("heading", name="Launches")).to_be_visible()
    assert visitor.url.endswith("/launches?status=failed")
    assert "lo_launch" not in visitor.content()
    expect(visitor.locator("#who-name")).to_have_text("my-laptop")


def test_a_link_opened_where_the_page_is_already(visitor: Page) -> None:
    visitor.goto("/nodes")
    expect(visitor.get_by_label("Token", exact=True)).to_be_visible()
    visitor.goto("/nodes#token=lo_read")
    expect(visitor.get_by_role("heading", name="Nodes")).to_be_visible()
    expect(visitor.locator("#who-name")).to_have_text("wall-screen (read only)")


def test_a_wrong_token_is_told_at_its_field(visitor: Page) -> None:
    visitor.goto("/launch")
    field = visitor.get_by_label("Token", exact=True)
    field.fill("lo_wrong")
    field.press("Enter")
    expect(field).to_be_focused()
    expect(visitor.locator("#token-error")).to_contain_text("not known here")


def test_signing_out_ends_the_session(page: Page, world: World) -> None:
    page.goto("/launches")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert world.sessions == {}
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
