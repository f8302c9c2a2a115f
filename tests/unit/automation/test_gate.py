"""Before an update: the rules, and what was reviewed."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from automation import launch as launching
from automation import plan as planning
from automation.errors import Kind, Stopped
from automation.launch import LaunchRequest
from automation.offers import Offer
from automation.preview import digest, steps
from automation.preview.gate import FORBIDDEN, Gate
from automation.session import Interrupts
from automation.stages import Event
from automation.worker import Result

from .conftest import Engine, Listener

RECORDINGS = Path(__file__).parents[2] / "previews" / "recordings"


def recorded(name: str) -> list[dict[str, Any]]:
    return list(json.loads((RECORDINGS / f"{name}.json").read_text())["steps"])


def previews(engine: Engine, name: str) -> None:
    engine.plays["preview"] = ([], Result(ok=True, steps=tuple(recorded(name))))


def launch(project: Path, gate: Gate, listener: Listener | None = None) -> launching.LaunchResult:
    return launching.launch(LaunchRequest(project, "dev"), listener or Listener(), Interrupts(), gate=gate)


def test_a_machine_of_this_host_is_launched_without_a_preview(engine: Engine, project: Path) -> None:
    assert launch(project, Gate()).failure is None
    assert engine.asked == ["up"]


def test_where_there_are_rules_they_are_asked_first_and_advice_is_told(engine: Engine, project: Path) -> None:
    previews(engine, "aws-create")
    (project / "policy.yaml").write_text("budgetUsdPerMonth: 5000\n")
    listener = Listener()
    assert launch(project, Gate(), listener).failure is None
    assert engine.asked == ["preview", "up"]
    assert engine.requests[0].remove
    assert any(note.startswith("spot-price-cap: prod-machine: ") for note in listener.notes)


def test_a_mandatory_rule_ends_the_launch_before_anything_is_made(engine: Engine, project: Path) -> None:
    previews(engine, "aws-create")
    (project / "policy.yaml").write_text("allowedTypes: [g5.*]\n")
    with pytest.raises(Stopped, match=r"allowed-types: prod-machine: instanceType is 'g6\.2xlarge'") as stopped:
        launch(project, Gate())
    assert (stopped.value.kind, stopped.value.code) == (Kind.POLICY, "allowed_types")
    assert engine.asked == ["preview"]


def test_only_what_was_reviewed_is_launched(engine: Engine, project: Path, tmp_path: Path) -> None:
    file = tmp_path / "digest.json"
    reviewed = digest.of(steps.read(recorded("aws-instance-type")))
    file.write_text(digest.render({"dev": reviewed}))
    previews(engine, "aws-instance-type")
    for expected in (str(file), reviewed.sha256):
        assert launch(project, Gate(expected)).failure is None
    previews(engine, "aws-max-price")
    for expected, told in ((str(file), "was not reviewed|was reviewed, now"), (reviewed.sha256, "the digest is")):
        with pytest.raises(Stopped, match=told) as stopped:
            launch(project, Gate(expected))
        assert stopped.value.kind is Kind.CHANGED
    assert engine.asked.count("up") == 2


def test_a_digest_that_can_not_be_read_is_refused_before_the_preview(engine: Engine, project: Path) -> None:
    with pytest.raises(Stopped, match="--expect-digest"):
        launch(project, Gate("nowhere.json"))
    assert engine.asked == []


def test_a_preview_that_fails_ends_the_launch_with_its_own_reason(engine: Engine, project: Path) -> None:
    (project / "policy.yaml").touch()
    error = Event(1, 0.0, "diagnostic", message="UnauthorizedOperation: You are not authorized", severity="error")
    engine.plays["preview"] = ([error], Result(ok=False, text="preview failed"))
    with pytest.raises(Stopped, match="not authorized") as stopped:
        launch(project, Gate())
    assert stopped.value.kind is Kind.CREDENTIALS
    assert engine.asked == ["preview"]


def offer(instance_type: str, zone: str = "", price: float = 0.1) -> Offer:
    return Offer(
        provider="local",
        region="r1",
        zone=zone,
        instance_type=instance_type,
        gpu="none",
        spot=True,
        price=price,
        source="test",
        seen=dt.date(2026, 11, 24),
    )


def test_a_plan_passes_over_what_a_rule_forbids_and_previews_each_cloud_once(
    engine: Engine, project: Path, record: planning.Record
) -> None:
    declared = json.loads((project / "Pulumi.yaml").read_text())
    for key in ("region", "zone", "instanceType", "spot"):
        declared["config"][f"liftoff:{key}"] = {"default": ""}
    (project / "Pulumi.yaml").write_text(json.dumps(declared))
    (project / "policy.yaml").write_text("allowedTypes: [small*]\nbudgetUsdPerMonth: 400\n")
    previews(engine, "dev-create")
    full = "error: creating EC2 Instance: InsufficientInstanceCapacity: no capacity"
    failed = [Event(1, 0.0, "diagnostic", "urn:x::machine", message=full, severity="error")]
    engine.plays["up"] = (failed, Result(ok=False, text="update failed"))
    engine.then["up"] = [([], Result(ok=True))]
    offers = [offer("large"), offer("small", price=9.0), offer("small", "a"), offer("small", "b")]
    ended = planning.launch(LaunchRequest(project, "dev"), offers, Listener(), Interrupts(), record, gate=Gate())
    assert [one.skipped.startswith(FORBIDDEN) for one in ended.attempts] == [True, True, False, False]
    assert "the type is 'large'; allowed: small*" in ended.attempts[0].skipped
    assert "6570.00 USD a month" in ended.attempts[1].skipped
    assert (engine.asked.count("preview"), engine.asked.count("up")) == (1, 2)
    assert ended.ok


def test_a_plan_is_told_why_the_preview_of_an_offer_failed(
    engine: Engine, project: Path, record: planning.Record
) -> None:
    declared = json.loads((project / "Pulumi.yaml").read_text())
    for key in ("region", "zone", "instanceType", "spot"):
        declared["config"][f"liftoff:{key}"] = {"default": ""}
    (project / "Pulumi.yaml").write_text(json.dumps(declared))
    error = Event(1, 0.0, "diagnostic", message="UnauthorizedOperation: You are not authorized", severity="error")
    engine.plays["preview"] = ([error], Result(ok=False, text="preview failed"))
    ended = planning.launch(LaunchRequest(project, "dev"), [offer("a")], Listener(), Interrupts(), record, gate=Gate())
    (attempt,) = ended.attempts
    assert attempt.failure is not None
    assert attempt.failure.kind is Kind.CREDENTIALS
    assert "up" not in engine.asked
