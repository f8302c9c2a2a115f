"""How a launch of a control plane ended, in the form of a launch on its own: the same views and exit codes tell it."""

import shlex
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from automation import errors
from automation.errors import Kind, LaunchFailure, Stopped
from automation.failover import Attempt, PlanResult
from automation.launch import LaunchResult, Span
from automation.offers import Offer
from automation.views import View
from provider.status import Stage

_STAGES: Final = {stage.title: stage for stage in Stage}


def show(launch: Mapping[str, Any], server: str, view: View) -> int:
    """Tell how a launch ended that has, and return the exit code.

    Raises:
        Stopped: it ended before anything was tried.
    """
    attempts = tuple(_attempt(launch, number, server) for number in range(len(launch["attempts"])))
    error = _error(launch)
    if not attempts:
        raise Stopped(errors.kind_of(error["kind"]), error["code"], _told(launch, error), error["hint"])
    result = PlanResult(attempts)
    view.planned(result, talk(launch["node"], f" --server {server}" if server else "") if launch["node"] else "")
    return 0 if launch["status"] == "succeeded" else errors.kind_of(error["kind"]).exit_code


def talk(node: Mapping[str, Any], option: str) -> str:
    """Return the command that asks a node for a completion, without its key."""
    body = f'{{"model": "{node["model"]}", "prompt": "Hello", "max_tokens": 16}}'
    url = shlex.quote(f"{node['endpoint']}/v1/completions")
    config = f"liftoff nodes access {node['id']}{option} --curl"
    return f"Ask it:\n  {config} | curl --config - {url} --data {shlex.quote(body)}"


def _attempt(launch: Mapping[str, Any], number: int, server: str) -> Attempt:
    told = launch["attempts"][number]
    offer = Offer.model_validate({**told["offer"], "seen": None})
    if told["state"] == "skipped":
        return Attempt(offer, None, told["reason"], 0.0)
    began = _moment(told["started_at"])
    ended = _moment(told["ended_at"] or launch["ended_at"])
    is_last = all(later["state"] == "skipped" for later in launch["attempts"][number + 1 :])
    failure = _failure(launch, told["error"], is_last=is_last)
    whole = LaunchResult(
        launch["job_id"],
        launch["job_id"],
        _seconds(launch, launch["ended_at"]),
        _timeline(launch),
        None,
        _outputs(launch["node"]) if launch["node"] else {},
        failure=failure,
        server=server,
    )
    return Attempt(offer, whole, "", (ended - began).total_seconds())


def _failure(launch: Mapping[str, Any], error: Mapping[str, Any] | None, *, is_last: bool) -> LaunchFailure | None:
    """Return why an attempt failed; the last one's is the launch's own, which tells what is left, too."""
    if is_last and launch["status"] != "succeeded":
        error = _error(launch)
    if error is None:
        return None
    kind = errors.kind_of(error["kind"])
    message = _told(launch, error) if is_last else error["message"]
    stage = _STAGES.get(error["stage"]) or _STAGES.get(launch["stage"], Stage.VALIDATE)
    log = tuple(error["log"])
    return LaunchFailure(
        kind, error["code"], stage, error["resource"], message, error["hint"], kind.retryable, message, log
    )


def _error(launch: Mapping[str, Any]) -> dict[str, Any]:
    if launch["status"] == "cancelled":
        hint = "launch it again when you want it"
        nothing = {"stage": "", "resource": "", "log": []}
        return {"kind": Kind.CANCELLED.title, "code": "cancelled", "message": "cancelled", "hint": hint, **nothing}
    return dict(launch["error"] or {})


def _told(launch: Mapping[str, Any], error: Mapping[str, Any]) -> str:
    """Return an error's text with what the launch says beyond it, such as what could not be deleted."""
    message = str(launch["message"])
    return message if message.startswith(str(error["message"])) else str(error["message"])


def _outputs(node: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "endpoint": node["endpoint"],
        "model": node["model"],
        "provider": node["provider"],
        "region": node["region"],
        "zone": node["zone"],
        "instanceType": node["instance_type"],
        "pricePerHour": node["price_per_hour"],
        "expiresAt": node["expires_at"],
        "nodeId": node["id"],
        "apiKey": "[secret]",
    }


def _timeline(launch: Mapping[str, Any]) -> tuple[Span, ...]:
    return tuple(
        Span(
            _STAGES[span["stage"]],
            _seconds(launch, span["started_at"]),
            _seconds(launch, span["ended_at"] or launch["ended_at"]),
        )
        for span in launch["timeline"]
        if span["stage"] in _STAGES
    )


def _seconds(launch: Mapping[str, Any], at: str) -> float:
    return round((_moment(at) - _moment(launch["created_at"])).total_seconds(), 3)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
