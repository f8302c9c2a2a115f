"""Comments and issues against a server that answers as GitHub's API does."""

from collections.abc import Iterator

import pytest

from automation.errors import Kind, Stopped
from automation.github_threads import Threads
from tests.workflows.github_api import Api


@pytest.fixture
def api() -> Iterator[tuple[Api, Threads]]:
    held = Api()
    with held.served() as environment, Threads(environment) as threads:
        yield held, threads


def test_a_comment_is_updated_and_not_repeated(api: tuple[Api, Threads]) -> None:
    held, threads = api
    assert threads.comment(7, "preview:chat", "one") == "written"
    assert threads.comment(7, "preview:code", "another stack's") == "written"
    assert threads.comment(7, "preview:chat", "two") == "updated"
    assert threads.comment(7, "preview:chat", "two") == "left as it is"
    assert [comment["body"] for comment in held.comments] == [
        "<!-- liftoff preview:chat -->\ntwo\n",
        "<!-- liftoff preview:code -->\nanother stack's\n",
    ]
    assert held.writes == 3


def test_a_persons_comment_is_not_touched_whatever_it_says(api: tuple[Api, Threads]) -> None:
    held, threads = api
    held.comments.append(held.made(1, user="User", body="<!-- liftoff preview:chat -->\nmine"))
    assert threads.comment(7, "preview:chat", "ours") == "written"
    assert held.comments[0]["body"].endswith("mine")


def test_a_comment_is_found_on_a_later_page(api: tuple[Api, Threads]) -> None:
    held, threads = api
    held.comments += [held.made(number, user="User", body="talk") for number in range(1, 151)]
    assert threads.comment(7, "preview:chat", "one") == "written"
    assert threads.comment(7, "preview:chat", "two") == "updated"


def test_an_issue_is_opened_updated_closed_and_opened_anew(api: tuple[Api, Threads]) -> None:
    held, threads = api
    assert threads.close("drift:chat") == "there is none"
    assert threads.issue("drift:chat", "t", "a tag") == "opened"
    assert threads.issue("drift:chat", "t", "a tag and a machine") == "updated"
    assert threads.close("drift:chat") == "closed"
    assert threads.issue("drift:chat", "t", "a tag") == "opened"
    assert [issue["state"] for issue in held.issues] == ["closed", "open"]


def test_what_is_too_long_or_secret_does_not_go_out(api: tuple[Api, Threads]) -> None:
    held, threads = api
    threads.comment(7, "preview:chat", "sk-liftoff-Ab12 " + "x" * 70_000)
    body = held.comments[0]["body"]
    assert len(body) <= 65_536
    assert body.endswith("the rest is in the log of the workflow's run.")
    assert "sk-liftoff" not in body


def test_a_refusal_names_the_permission(api: tuple[Api, Threads]) -> None:
    held, threads = api
    held.refuses = 403
    with pytest.raises(Stopped, match="not accessible") as caught:
        threads.close("sweep")
    assert caught.value.kind is Kind.CREDENTIALS
    assert "issues: write" in caught.value.hint


def test_outside_of_a_job_it_says_what_is_missing() -> None:
    with pytest.raises(Stopped, match="GITHUB_TOKEN and GITHUB_REPOSITORY"):
        Threads({})


def test_a_marker_can_not_end_its_comment(api: tuple[Api, Threads]) -> None:
    with pytest.raises(Stopped, match="allowed: letters"):
        api[1].comment(7, "x --> <b>", "text")
