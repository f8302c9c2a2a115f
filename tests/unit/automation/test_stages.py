import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automation import stages
from automation.stages import Event, Progress
from provider import status
from provider.status import Stage, Status

RECORDED = Path(__file__).parent / "launch-events.jsonl"

types = st.sampled_from(
    [
        "pulumi:pulumi:Stack",
        "pulumi:providers:liftoff",
        "liftoff:index:ModelNode",
        "liftoff:index:LocalNetwork",
        "liftoff:index:Readiness",
        *sorted(stages.MACHINE_TYPES),
    ]
)
lines = st.one_of(
    st.text(),
    st.builds(
        lambda tenths, stage, message: status.render(Status(tenths / 10, stage, message)),
        st.integers(0, 1000),
        st.sampled_from(Stage),
        st.text(),
    ),
)
events = st.builds(
    lambda sequence, time, kind, type_, op, message, ephemeral: Event(
        sequence, time, kind, f"urn:pulumi:dev::liftoff::{type_}::n", type_, op, message, "info", ephemeral
    ),
    st.integers(0, 10_000),
    st.floats(0, 1e6),
    st.sampled_from(["pre", "outputs", "failed", "diagnostic"]),
    types,
    st.sampled_from(["create", "same", "update", "delete", "replace", "create-replacement", "read"]),
    lines,
    st.booleans(),
)


@given(st.lists(events))
def test_a_launch_never_goes_backwards_and_never_registers_by_itself(happened: list[Event]) -> None:
    shown = list(stages.walk(happened))
    assert shown[0] == Status(10, Stage.VALIDATE)
    percents = [one.percent for one in shown]
    assert percents == sorted(percents)
    assert all(one.stage is not Stage.REGISTER for one in shown)


@given(st.lists(events))
def test_each_status_shown_is_a_line_that_reads_back(happened: list[Event]) -> None:
    for shown in stages.walk(happened):
        back = status.parse(status.render(shown))
        assert back is not None
        assert (back.percent, back.stage) == (shown.percent, shown.stage)


def event(kind: stages.EventKind, type_: str, **more: object) -> Event:
    urn = f"urn:pulumi:dev::liftoff::liftoff:index:ModelNode${type_}::dev-x"
    return stages.read({"sequence": 1, "time": 0.0, "kind": kind, "urn": urn, "type": type_, **more})


@pytest.mark.parametrize("type_", ["pulumi:pulumi:Stack", "pulumi:providers:liftoff", "liftoff:index:ModelNode"])
def test_nothing_is_requested_while_only_stack_provider_and_component_are_made(type_: str) -> None:
    assert stages.step(Progress(), event("pre", type_, op="create")) == Progress()


def test_the_first_resource_is_the_request() -> None:
    following = stages.step(Progress(), event("pre", "liftoff:index:LocalNetwork", op="create"))
    assert following.status == Status(25, Stage.REQUEST, "creating dev-x")


@pytest.mark.parametrize("type_", sorted(stages.MACHINE_TYPES))
def test_a_machine_of_any_cloud_that_was_made_is_provisioned(type_: str) -> None:
    following = stages.step(Progress(), event("outputs", type_, op="create"))
    assert following.status == Status(45, Stage.PROVISION, "dev-x has started")


def test_a_machine_that_was_deleted_is_not_provisioned() -> None:
    assert stages.step(Progress(), event("outputs", "liftoff:index:LocalMachine", op="delete")) == Progress()


def test_the_nodes_words_come_through_readiness_only() -> None:
    line = "82.4% Loading model from R2: 1.2 of 16.1 GB"
    diagnostic = {"kind": "diagnostic", "message": line, "ephemeral": True, "sequence": 1, "time": 0.0}
    urn = "urn:pulumi:dev::liftoff::liftoff:index:ModelNode${}::dev-x"
    spoken = stages.read({**diagnostic, "urn": urn.format("liftoff:index:Readiness")})
    assert status.render(stages.step(Progress(), spoken).status) == line
    forged = stages.read({**diagnostic, "urn": urn.format("liftoff:index:LocalMachine")})
    assert stages.step(Progress(), forged) == Progress()


def test_what_another_resource_says_is_news_of_the_stage() -> None:
    asked = stages.step(Progress(), event("pre", "liftoff:index:LocalMachine", op="create"))
    told = stages.step(asked, event("diagnostic", "liftoff:index:LocalMachine", message="Booting", ephemeral=True))
    assert told.status == Status(25, Stage.REQUEST, "dev-x: Booting")


def test_a_diagnostic_without_a_urn_changes_nothing() -> None:
    nameless = Event(1, 0.0, "diagnostic", message="update failed", severity="error")
    assert stages.step(Progress(), nameless) == Progress()


def test_only_the_end_of_the_update_registers() -> None:
    assert stages.registered(Progress(), "https://h").status == Status(100, Stage.REGISTER, "https://h")


def test_a_recorded_launch_passes_every_stage_once_and_in_order() -> None:
    records = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    shown = list(stages.walk(stages.read(record["event"]) for record in records if "event" in record))
    seen = list(dict.fromkeys(one.stage for one in shown))
    assert seen == [stage for stage in Stage if stage is not Stage.REGISTER]
    percents = [one.percent for one in shown]
    assert percents == sorted(percents)
