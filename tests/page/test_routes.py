"""What `mount` answers, without a browser."""

from collections.abc import Iterator

import httpx
import pytest

from tests.page.scripted_server import ScriptedServer


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as client:
        yield client


@pytest.mark.parametrize("path", ["/launch", "/launch/launch-1", "/launches", "/nodes", "/nodes/node-1"])
def test_every_address_of_the_page_answers_the_same_html(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text == client.get("/launch").text


def test_the_policy_allows_nothing_from_elsewhere(client: httpx.Client) -> None:
    policy = client.get("/launch").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize(
    ("name", "kind"),
    [("app.js", "text/javascript"), ("style.css", "text/css"), ("logo.svg", "image/svg+xml")],
)
def test_an_asset_has_its_type_and_is_asked_for_again(client: httpx.Client, name: str, kind: str) -> None:
    answer = client.get(f"/assets/{name}")
    assert answer.headers["content-type"].startswith(kind)
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = client.get(f"/assets/{name}", headers={"If-None-Match": f'"other", {answer.headers["etag"]}'})
    assert again.status_code == 304
    assert again.content == b""


@pytest.mark.parametrize("name", ["__init__.py", "nothing.js", "..%2F__init__.py"])
def test_only_the_pages_own_files_are_assets(client: httpx.Client, name: str) -> None:
    assert client.get(f"/assets/{name}").status_code == 404


def test_the_root_leads_to_the_form(client: httpx.Client) -> None:
    answer = client.get("/")
    assert answer.headers["location"] == "/launch"


def test_the_html_has_neither_script_nor_style_of_its_own(client: httpx.Client) -> None:
    text = client.get("/launch").text
    assert "<script>" not in text
    assert "style=" not in text
    assert "<style" not in text
    assert "onclick" not in text
