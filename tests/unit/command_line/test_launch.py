"""`liftoff launch --server`: over restarts, lost answers and Ctrl-C, told as on its own."""

import signal
from typing import Any

import pytest

from provider.status import Stage

from .conftest import Run
from .workplace import MODEL, Workplace, error, offer, until


def test_a_launch_is_followed_to_its_end_and_told_as_one_on_its_own(workplace: Workplace, remote: Run) -> None:
    def play(launch_id: str) -> None:
        workplace.begin(launch_id)
        workplace.launches.note(launch_id, "Trying the cheapest")
        workplace.succeed(launch_id)

    workplace.queue.plays = play
    done = remote("launch", MODEL, "--provider", "azure", "--max-price", "3")
    assert done.code == 0, done.text
    (job,) = workplace.queue.submitted
    assert workplace.launches.get(job).request["max_price"] == 3
    for text in (
        "10.0% Validating configuration",
        "Trying the cheapest",
        "25.0% Requesting spot instance: creating machine",
        "100.0% Registering node: https://203.0.113.7",
        f"{MODEL} is served at https://203.0.113.7",
        f"take it down: liftoff destroy {job} --server {workplace.api.url}",
        f"liftoff nodes access {workplace.nodes.of_launch(job).id}",  # type: ignore[union-attr]
    ):
        assert text in done.out
    assert workplace.token not in done.text


def test_programs_get_the_same_lines_as_from_a_launch_on_its_own(workplace: Workplace, remote: Run) -> None:
    def play(launch_id: str) -> None:
        workplace.begin(launch_id)
        workplace.launches.skip_attempt(launch_id, offer("westus"), "no quota there")
        workplace.succeed(launch_id)

    workplace.queue.plays = play
    records = remote("launch", MODEL, "--json").records
    stages = [record["stage"] for record in records if record["type"] == "status"]
    assert stages == ["Validating configuration", "Requesting spot instance", "Registering node"]
    result, plan = records[-2:]
    assert (result["type"], result["ok"], result["server"]) == ("result", True, workplace.api.url)
    assert result["outputs"]["endpoint"] == "https://203.0.113.7"
    assert result["outputs"]["apiKey"] == "[secret]"
    assert [span["stage"] for span in result["timeline"]] == stages
    assert plan["ok"] is True
    assert [attempt["skipped"] for attempt in plan["attempts"]] == ["no quota there", ""]


@pytest.mark.parametrize(
    ("kind", "code"), [("capacity", 10), ("quota", 11), ("credentials", 12), ("boot", 15), ("unknown", 1)]
)
def test_the_exit_code_is_that_of_the_kind(workplace: Workplace, remote: Run, kind: str, code: int) -> None:
    def play(launch_id: str) -> None:
        workplace.begin(launch_id)
        workplace.fail(launch_id, error(kind, "reason", "no such thing", log=["the node's last words"]))

    workplace.queue.plays = play
    done = remote("launch", MODEL)
    assert done.code == code
    for text in (f"{kind}/reason", "no such thing", "the node's last words", "What to do: do this"):
        assert text in done.err


def test_a_launch_that_ends_before_anything_is_tried_says_why(workplace: Workplace, remote: Run) -> None:
    def play(launch_id: str) -> None:
        workplace.begin(launch_id)
        workplace.launches.end(
            launch_id, "failed", "no offer fits", error("configuration", "no_offer", "no offer fits")
        )

    workplace.queue.plays = play
    done = remote("launch", MODEL, "--json")
    assert done.code == 13
    last = done.records[-1]
    assert (last["type"], last["code"], last["message"]) == ("error", "no_offer", "no offer fits")


def test_a_launch_of_which_every_offer_is_passed_over_tells_each(workplace: Workplace, remote: Run) -> None:
    def play(launch_id: str) -> None:
        workplace.begin(launch_id)
        workplace.launches.skip_attempt(launch_id, offer(), "full a minute ago")
        workplace.launches.end(launch_id, "failed", "nothing", error("capacity", "nothing_tried", "nothing"))

    workplace.queue.plays = play
    done = remote("launch", MODEL)
    assert done.code == 10
    assert "not tried: full a minute ago" in done.out


def test_what_could_not_be_deleted_is_told_with_the_failure(workplace: Workplace, remote: Run) -> None:
    def play(launch_id: str) -> None:
        workplace.begin(launch_id)
        number = workplace.attempt(launch_id)
        problem = error("boot", "serve_failed", "vLLM ended")
        workplace.launches.end_attempt(launch_id, number, problem)
        workplace.launches.end(launch_id, "failed", "vLLM ended; and it could not be taken down: machine", problem)

    workplace.queue.plays = play
    assert "vLLM ended; and it could not be taken down: machine" in remote("launch", MODEL).err


def test_detached_only_the_job_is_told(workplace: Workplace, remote: Run) -> None:
    done = remote("launch", MODEL, "--detach")
    assert (done.code, done.out.strip()) == (0, workplace.queue.submitted[0])
    assert remote("launch", MODEL, "--detach", "--json").records == [
        {"type": "job", "job_id": workplace.queue.submitted[1], "server": workplace.api.url}
    ]


def test_a_restart_of_the_server_is_lived_through_and_no_event_is_told_twice(workplace: Workplace, remote: Run) -> None:
    def play(launch_id: str) -> None:
        workplace.begin(launch_id)
        workplace.launches.note(launch_id, "before")
        until(lambda: workplace.launches.last_event(launch_id) >= 4)
        workplace.api.stop()
        workplace.launches.note(launch_id, "while it was away")
        workplace.api.start()
        workplace.succeed(launch_id)

    workplace.queue.plays = play
    done = remote("launch", MODEL, "--json")
    assert done.code == 0, done.text
    notes = [record["text"] for record in done.records if record["type"] == "note"]
    assert [notes.count(text) for text in ("before", "while it was away")] == [1, 1]
    assert any("The server does not answer" in text for text in notes)
    assert notes.count("The server answers again") == 1


def test_a_launch_whose_answer_was_lost_is_asked_for_once(workplace: Workplace, remote: Run) -> None:
    inner = workplace.api.app
    lost: list[str] = []

    async def losing(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].endswith("/launch") and not lost:
            lost.append(scope["path"])

            async def swallow(_message: Any) -> None:
                return None

            await inner(scope, receive, swallow)
            await send({"type": "http.response.start", "status": 502, "headers": []})
            await send({"type": "http.response.body", "body": b"bad gateway"})
            return
        await inner(scope, receive, send)

    workplace.api.stop()
    workplace.api.app = losing
    workplace.api.start()
    done = remote("launch", MODEL, "--detach")
    assert done.code == 0, done.text
    assert lost
    assert workplace.launches.counts() == {"queued": 1}
    assert done.out.strip() == workplace.queue.submitted[-1]


def test_the_first_interrupt_cancels_the_launch_and_waits_for_its_end(workplace: Workplace) -> None:
    def play(launch_id: str) -> None:
        workplace.begin(launch_id)
        number = workplace.attempt(launch_id)
        workplace.tell(launch_id, Stage.REQUEST, "creating machine")
        until(lambda: workplace.launches.get(launch_id).status == "cancelling")
        workplace.launches.end_attempt(launch_id, number, error("cancelled", "cancelled", "cancelled"))
        workplace.launches.end(launch_id, "cancelled", "cancelled; nothing is left")

    workplace.queue.plays = play
    process = workplace.liftoff("launch", MODEL)
    _read_until(process, "creating machine")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Cancelling: what is in flight is finished" in out
    assert "cancelled; nothing is left" in err


def test_the_second_interrupt_leaves_and_the_launch_goes_on_being_cancelled(workplace: Workplace) -> None:
    workplace.queue.plays = workplace.begin
    process = workplace.liftoff("launch", MODEL)
    _read_until(process, "Validating configuration")
    (job,) = workplace.queue.submitted
    process.send_signal(signal.SIGINT)
    _read_until(process, "Cancelling")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"{job} is being cancelled: liftoff status {job} --server {workplace.api.url}" in out
    assert workplace.launches.get(job).status == "cancelling"


def _read_until(process: Any, text: str) -> None:
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"ended without {text!r}: {process.stderr.read()}")


def test_a_field_that_the_server_refuses_is_named(remote: Run) -> None:
    done = remote("launch", "llama", "--json")
    assert done.code == 13
    (told,) = done.records
    assert told["code"] == "not_in_catalog"
    assert "model_name: given 'llama'" in told["message"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("launch", MODEL, "--config", "cpus=2"), "not_with_server"),
        (("launch", MODEL, "--stack", "dev"), "not_with_server"),
        (("launch", MODEL, "--provider", "aws", "--provider", "gcp"), "only_one"),
        (("launch",), "model_missing"),
        (("launch", MODEL, "--server", "", "--detach"), "only_with_server"),
        (("launch", MODEL, "--server", "", "--idle-minutes", "5"), "only_with_server"),
        (("destroy", "launch-1", "--remove"), "not_with_server"),
    ],
)
def test_options_that_would_have_no_effect_are_refused(remote: Run, arguments: tuple[str, ...], code: str) -> None:
    done = remote(*arguments, "--json")
    assert done.code == 13
    assert done.records[-1]["code"] == code
