"""`liftoff status`, `logs`, `cancel`: the same against a server and on the server's own host."""

import json

import pytest

from provider.status import Stage

from .conftest import Run
from .workplace import MODEL, Workplace, error, until


def test_the_latest_launches_are_listed_page_by_page(workplace: Workplace, either: Run) -> None:
    jobs = [workplace.ask() for _ in range(5)]
    workplace.begin(jobs[0])
    workplace.fail(jobs[0], error("quota", "limit", "too many"))
    first = either("status", "--limit", "3")
    assert first.code == 0, first.text
    assert [job for job in jobs if job in first.out] == jobs[2:]
    cursor = first.out.split("--cursor ")[1].split()[0]
    second = either("status", "--limit", "3", "--cursor", cursor)
    assert [job for job in jobs if job in second.out] == jobs[:2]
    assert "quota (limit)" in second.out
    assert "more:" not in second.out


def test_programs_get_a_launch_a_line_and_the_place_of_the_next_page(workplace: Workplace, either: Run) -> None:
    jobs = [workplace.ask() for _ in range(3)]
    *launches, page = either("status", "--limit", "2", "--json").records
    assert [(launch["type"], launch["job_id"]) for launch in launches] == [("launch", job) for job in jobs[:0:-1]]
    assert page["type"] == "page"
    *rest, last = either("status", "--limit", "2", "--cursor", page["next"], "--json").records
    assert [launch["job_id"] for launch in rest] == jobs[:1]
    assert last == {"type": "page", "next": None}


def test_only_launches_of_a_status_are_listed(workplace: Workplace, either: Run) -> None:
    queued, running = workplace.ask(), workplace.ask()
    workplace.begin(running)
    out = either("status", "--status", "running").out
    assert running in out
    assert queued not in out


def test_no_launches_are_told_so(either: Run) -> None:
    assert either("status").out == "No launches.\n"


def test_a_cursor_of_ones_own_making_is_refused(either: Run) -> None:
    done = either("status", "--cursor", "nonsense", "--json")
    assert done.code == 13
    assert done.records[0]["code"] == "cursor_invalid"


def test_a_launch_is_told_in_full(workplace: Workplace, either: Run) -> None:
    job = workplace.ask()
    workplace.begin(job)
    node = workplace.succeed(job)
    done = either("status", job)
    for text in (
        f"{job}  {MODEL}: succeeded",
        "Standard_NV36ads_A10_v5 (A10) at azure eastus",
        node.id,
        "0.50 USD so far",
    ):
        assert text in done.out
    (told,) = either("status", job, "--json").records
    assert (told["type"], told["job_id"], told["node"]["id"]) == ("launch", job, node.id)


def test_a_failure_is_told_with_what_to_do(workplace: Workplace, either: Run) -> None:
    job = workplace.ask()
    workplace.begin(job)
    workplace.fail(job, error("boot", "serve_failed", "vLLM ended", log=["the last \x1b[31mwords"]))
    out = either("status", job).out
    for text in ("boot/serve_failed", "vLLM ended", "the last  [31mwords", "What to do: do this"):
        assert text in out
    assert either("status", job).code == 0


def test_a_launch_is_followed_from_anywhere_with_its_own_exit_code(workplace: Workplace, either: Run) -> None:
    job = workplace.ask()
    workplace.begin(job)
    workplace.fail(job, error("capacity", "full", "none left"))
    done = either("status", job, "--follow")
    assert done.code == 10
    assert "25.0% Requesting spot instance: creating machine" in done.out
    assert f"Everything that happened: liftoff logs {job}" in done.err


@pytest.mark.parametrize("command", ["status", "logs", "cancel", "destroy"])
def test_a_job_that_is_not_known_is_refused_with_what_to_do(either: Run, command: str) -> None:
    done = either(command, "launch-nobodys", "--json")
    assert done.code == 13
    (told,) = done.records
    assert told["code"] == "launch_unknown"
    assert "launch-nobodys" in told["message"]
    assert told["hint"] == "list them: liftoff status"


def test_the_log_is_that_of_one_source_or_of_both(workplace: Workplace, either: Run) -> None:
    job = workplace.ask()
    workplace.begin(job)
    workplace.launches.log(job, "engine", ["machine: will create"])
    workplace.launches.log(job, "node", ["vLLM says \x1b[2J", "more"])
    assert either("logs", job).out.splitlines() == ["machine: will create", "vLLM says  [2J", "more"]
    assert either("logs", job, "--source", "engine").out == "machine: will create\n"
    (told,) = either("logs", job, "--source", "node", "--json").records
    assert (told["type"], told["source"], told["lines"]) == ("log", "node", ["vLLM says \x1b[2J", "more"])


def test_a_log_is_followed_until_the_launch_has_ended(workplace: Workplace, either: Run) -> None:
    job = workplace.ask()
    workplace.begin(job)
    workplace.launches.log(job, "engine", ["first"])

    def play(_launch_id: str) -> None:
        workplace.launches.log(job, "node", ["last"])
        workplace.launches.end(job, "cancelled", "cancelled; nothing is left")

    workplace.queue.plays = play
    workplace.queue.submit(job)
    assert either("logs", job, "--follow").out.splitlines() == ["first", "last"]


def test_a_log_without_a_line_is_empty(workplace: Workplace, either: Run) -> None:
    done = either("logs", workplace.ask())
    assert (done.code, done.out) == (0, "")


def test_cancelling_leaves_the_wish_to_whoever_works_on_the_launch(workplace: Workplace, either: Run) -> None:
    job = workplace.ask()
    workplace.begin(job)
    workplace.tell(job, Stage.REQUEST)
    done = either("cancel", job)
    assert done.code == 0
    assert f"{job} is being cancelled" in done.out
    assert workplace.launches.get(job).status == "cancelling"
    assert either("cancel", job, "--json").records[0]["status"] == "cancelling"


def test_cancelling_what_nobody_has_begun_ends_it_at_once(workplace: Workplace, either: Run) -> None:
    job = workplace.ask()
    assert either("cancel", job).out.startswith(f"{job} has ended: cancelled")
    until(lambda: workplace.launches.get(job).has_ended)


def test_a_launch_that_has_its_node_cant_be_cancelled(workplace: Workplace, either: Run) -> None:
    job = workplace.ask()
    workplace.begin(job)
    workplace.succeed(job)
    done = either("cancel", job)
    assert done.code == 13
    assert f"liftoff destroy {job}" in done.err


def test_a_host_without_a_control_plane_says_how_to_come_to_one(
    tmp_path: object, own: Run, workplace: Workplace
) -> None:
    done = own("status", "--json", LIFTOFF_STATE=f"{tmp_path}/elsewhere")
    assert done.code == 13
    (told,) = done.records
    assert told["code"] == "no_control_plane"
    assert "liftoff serve" in told["hint"]
    assert "--server URL" in told["hint"]
    assert json.dumps(told)
