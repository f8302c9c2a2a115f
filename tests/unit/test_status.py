import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from provider import status
from provider.status import Mailbox, Stage, Status

words = st.text(alphabet=st.characters(exclude_categories=["C", "Z"]), min_size=1)
messages = st.lists(words, max_size=6).map(" ".join)
percents = st.integers(min_value=0, max_value=1000).map(lambda tenths: tenths / 10)


def letter(**changes: Any) -> dict[str, Any]:
    phases = {
        name: {"name": name, "state": "pending", "started_at": None, "ended_at": None, "done": 0, "total": 0}
        for name in ("install", "weights", "serve")
    }
    for name, phase in phases.items():
        phase.update(changes.pop(name, {}))
    return {
        "version": 1,
        "run_id": "r1",
        "sequence": 1,
        "written_at": 1790000000.0,
        "started_at": 1790000000.0,
        "state": "booting",
        "phases": list(phases.values()),
        "error": None,
        "log": [],
        **changes,
    }


def read(**changes: Any) -> Mailbox:
    return Mailbox.model_validate_json(json.dumps(letter(**changes)))


@given(st.builds(Status, percents, st.sampled_from(Stage), messages))
def test_a_status_line_reads_back_as_what_was_written(written: Status) -> None:
    assert status.parse(status.render(written)) == written


@given(st.builds(Status, percents, st.sampled_from(Stage), st.text()))
def test_any_message_makes_one_line_that_still_tells_stage_and_percent(written: Status) -> None:
    line = status.render(written)
    back = status.parse(line)
    assert back is not None
    assert (back.percent, back.stage) == (written.percent, written.stage)
    assert line.isprintable()


@given(st.text())
def test_other_text_is_no_status_or_a_line_that_render_writes(text: str) -> None:
    found = status.parse(text)
    assert found is None or 0 <= found.percent <= 100


@pytest.mark.parametrize("line", ["", "creating", "82.4%", "100.1% Starting vLLM", "82% Starting vLLM: x"])
def test_what_render_never_writes_is_not_parsed(line: str) -> None:
    assert status.parse(line) is None


def test_the_line_of_the_contract() -> None:
    mailbox = read(
        install={"state": "done"},
        weights={"state": "running", "done": 3_864_000_000, "total": 16_100_000_000, "unit": "bytes"},
    )
    assert status.render(status.status_of(mailbox)) == "82.4% Loading model from R2: 3.9 of 16.1 GB"


def test_stages_begin_where_the_contract_says() -> None:
    assert [(stage.start, stage.title) for stage in Stage] == [
        (10, "Validating configuration"),
        (25, "Requesting spot instance"),
        (45, "Provisioning instance"),
        (65, "Installing dependencies"),
        (80, "Loading model from R2"),
        (90, "Starting vLLM"),
        (100, "Registering node"),
    ]


def test_weights_that_are_ahead_do_not_hide_the_installation() -> None:
    mailbox = read(
        install={"state": "running", "done": 43, "total": 86, "unit": "packages", "message": "torch"},
        weights={"state": "done"},
    )
    assert status.render(status.status_of(mailbox)) == "72.5% Installing dependencies: 43 of 86 packages, torch"


def test_a_ready_node_is_not_registered_yet() -> None:
    mailbox = read(state="ready", install={"state": "done"}, weights={"state": "done"}, serve={"state": "done"})
    found = status.status_of(mailbox)
    assert (found.percent, found.stage) == (99.9, Stage.SERVE)


@given(
    st.sampled_from(["install", "weights", "serve"]),
    st.integers(0, 2**62),
    st.integers(0, 2**62),
    st.integers(0, 2**62),
)
def test_more_done_is_never_less_percent_and_stays_within_the_stage(
    name: str, total: int, first: int, second: int
) -> None:
    before = {phase: {"state": "done"} for phase in ("install", "weights", "serve")}
    found = [
        status.status_of(read(**{**before, name: {"state": "running", "done": done, "total": total}}))
        for done in sorted((first, second))
    ]
    assert found[0].percent <= found[1].percent
    assert all(one.stage.start <= one.percent < one.stage.end for one in found)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"sequence": "1"},
        {"sequence": -1},
        {"written_at": float("inf")},
        {"state": "happy"},
        {"run_id": "r" * 101},
        {"phases": []},
        {"log": ["x"] * 61},
        {"log": ["x" * 401]},
        {"install": {"message": "x" * 2001}},
        {"install": {"name": "weights"}},
        {"install": {"done": 1 << 63}},
        {"error": {"code": "Not A Code", "phase": "serve", "message": "m", "hint": "h"}},
    ],
)
def test_a_node_that_writes_something_else_is_not_believed(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(**changes)


def test_a_node_can_not_steer_the_terminal() -> None:
    mailbox = read(log=["  at \x1b[2Jgone\r\n"], install={"state": "running", "message": "a\x1b]0;t\x07b"})
    assert mailbox.log == ("  at  [2Jgone",)
    assert status.status_of(mailbox).message == "a ]0;t b"


def test_a_field_of_a_newer_node_does_no_harm() -> None:
    assert read(host="h").run_id == "r1"


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [(0, 12, "0 of 12 B"), (500, 1500, "0.5 of 1.5 kB"), (2_500_000, 50_000_000, "2.5 of 50.0 MB")],
)
def test_bytes_are_told_in_the_unit_of_the_whole(done: int, total: int, text: str) -> None:
    assert status.progress(done, total) == text


def test_a_stage_that_was_over_between_two_letters_is_told_all_the_same() -> None:
    both_done = read(
        install={"state": "done", "total": 3, "done": 3, "unit": "packages"},
        weights={"state": "done", "total": 2_000_000, "done": 2_000_000, "unit": "bytes"},
        serve={"state": "running"},
    )
    lines = [status.render(step) for step in status.passed_since(Stage.PROVISION, both_done)]
    assert lines == [
        "79.9% Installing dependencies: 3 of 3 packages",
        "89.9% Loading model from R2: 2.0 of 2.0 MB",
    ]
    assert status.passed_since(Stage.LOAD, both_done) == []
    assert status.passed_since(Stage.SERVE, both_done) == []


def test_lines_of_the_nodes_log_are_no_status_and_come_back_as_they_were() -> None:
    text = status.render_log(["Installing", "90.0% Starting vLLM"])
    assert status.parse(text) is None
    assert status.parse_log(text) == ["Installing", "90.0% Starting vLLM"]
    assert status.parse_log("90.0% Starting vLLM") is None


@pytest.mark.parametrize(
    ("before", "now", "added"),
    [
        ([], ["a", "b"], ["a", "b"]),
        (["a", "b"], ["a", "b"], []),
        (["a", "b", "c"], ["b", "c", "d"], ["d"]),
        (["a", "a"], ["a", "a", "a"], ["a"]),
        (["a", "b"], ["x", "y"], ["x", "y"]),
        (["a", "b", "c", "d"], ["c", "d"], []),
    ],
)
def test_of_a_rolling_log_only_what_is_new_is_told(before: list[str], now: list[str], added: list[str]) -> None:
    assert status.added_lines(before, now) == added
