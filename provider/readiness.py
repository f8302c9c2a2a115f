"""Readiness: the endpoint answers a completion. Until then it speaks the node's own progress into the engine."""

import datetime as dt
import time
from typing import ClassVar, Final

from pydantic import Field, ValidationError

from provider import status
from provider.boot_session import mailbox_key
from provider.endpoint import Endpoint, EndpointSilent
from provider.resource import Inputs, Operation, Outputs, Refused, Resource
from provider.status import Mailbox, Stage, Status
from provider.storage import Bucket, Storage

_POLL_SECONDS: Final = 0.5
_REACH_SECONDS: Final = 60.0
"""How long the endpoint may stay out of reach after the node itself has had its completion."""
_GRACE_SECONDS: Final = 30.0
"""How much longer than the node's own deadline we wait for its last words."""
_CLOCK_SKEW_SECONDS: Final = 120.0
_MAILBOX_BYTES: Final = 256 << 10
_WAITING: Final = Status(Stage.PROVISION.start, Stage.PROVISION, "waiting for the node's first word")


class ReadinessInputs(Inputs):
    """What to wait for and how to talk to it."""

    storage: Storage
    run_id: str
    machine_id: str
    instance_id: str = Field(
        default="", description="the machine's id as cloud-init finds it; a letter of another one is passed over"
    )
    booted_at: float = Field(
        description="when the machine was started, in seconds since 1970; an older letter is another machine's"
    )
    endpoint: str = Field(pattern=r"^https://")
    tls_certificate: str
    api_key: str = Field(repr=False)
    model: str
    deadline_seconds: int = Field(ge=10, description="how long the node may take to start, in seconds")


class Readiness(Resource[ReadinessInputs]):
    """See the module's text."""

    token = "liftoff:index:Readiness"
    description = "The node has started and its endpoint has answered a completion over TLS."
    inputs = ReadinessInputs
    outputs: ClassVar = {"readyAt": "string", "timeline": "array", "completionSeconds": "number"}
    replace_on = frozenset(
        {"runId", "machineId", "instanceId", "bootedAt", "endpoint", "tlsCertificate", "apiKey", "model"}
    )

    def create(self, inputs: ReadinessInputs, operation: Operation) -> tuple[str, Outputs]:
        """Follow the mailbox until the node is ready or has failed, then ask the endpoint itself."""
        mailbox = _await_ready(inputs, operation)
        seconds = _await_completion(inputs, operation, mailbox)
        return inputs.run_id, {
            "readyAt": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "timeline": [
                {"phase": phase.name, "startedAt": phase.started_at, "endedAt": phase.ended_at}
                for phase in mailbox.phases
            ],
            "completionSeconds": round(seconds, 3),
        }

    def read(
        self,
        resource_id: str,
        inputs: ReadinessInputs,
        outputs: Outputs,
        operation: Operation,
    ) -> Outputs | None:
        """Ask for a completion again; with a silent endpoint the next update waits for it anew."""
        endpoint = Endpoint(inputs.endpoint, inputs.tls_certificate, inputs.api_key)
        silent = ""
        for _ in range(3):
            try:
                endpoint.complete(inputs.model)
            except EndpointSilent as error:
                silent = str(error)
                operation.wait(2)
            else:
                return outputs
        operation.tell(f"The endpoint {inputs.endpoint} does not answer any more: {silent}")
        return None

    def update(
        self,
        resource_id: str,
        inputs: ReadinessInputs,
        outputs: Outputs,
        operation: Operation,
    ) -> Outputs:
        """Take new storage keys or another deadline; both matter at the next start only."""
        return outputs

    def delete(
        self,
        resource_id: str,
        inputs: ReadinessInputs,
        outputs: Outputs,
        operation: Operation,
    ) -> None:
        """Do nothing: what makes it ready is deleted by the resources that made it."""


def _await_ready(inputs: ReadinessInputs, operation: Operation) -> Mailbox:
    bucket = Bucket(inputs.storage)
    key = mailbox_key(inputs.run_id)
    began = time.monotonic()
    shown = _WAITING
    last: Mailbox | None = None
    operation.say(status.render(shown))
    while True:
        mailbox = _newest(bucket, key, inputs, last)
        if mailbox is not None and mailbox is not last:
            now = status.status_of(mailbox)
            added = status.added_lines(last.log if last else (), mailbox.log)
            if added:
                operation.say(status.render_log(added))
                # The status is what stays on show.
                operation.say(status.render(shown))
            for step in (*status.passed_since(shown.stage, mailbox), now):
                if step != shown:
                    operation.say(status.render(step))
                    shown = step
            last = mailbox
        if last is not None and last.state == "failed":
            raise _failed(last)
        if last is not None and last.state == "interrupted":
            raise _interrupted(last)
        if last is not None and last.state == "stopped":
            raise Refused(
                "boot",
                "stopped",
                "the node was stopped before it was ready",
                hint="its lifetime may have ended or its spot capacity was taken back; start it again",
                log=last.log,
            )
        if last is not None and last.state == "ready":
            return last
        waited = time.monotonic() - began
        if waited > inputs.deadline_seconds + _GRACE_SECONDS:
            raise _overdue(inputs, last, waited)
        operation.wait(_POLL_SECONDS)


def _newest(bucket: Bucket, key: str, inputs: ReadinessInputs, last: Mailbox | None) -> Mailbox | None:
    """Return the mailbox if it has a newer letter of this machine; what was there before it started is another's."""
    try:
        # A node may write what it likes into its mailbox, so no more than a letter's length is read.
        body = bucket.get(key, _MAILBOX_BYTES)
    except Refused as error:
        # One answer that fails is not the node's fault; only the deadline ends the wait, unless the keys are wrong.
        if error.kind in ("credentials", "configuration"):
            raise
        return None
    if body is None:
        return None
    try:
        mailbox = Mailbox.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Refused(
            "boot",
            "mailbox_invalid",
            f"the node's mailbox can't be read: {first['loc']}: {first['msg']}",
            hint="node and Liftoff may be of different versions: destroy the node and launch it again",
        ) from error
    if mailbox.run_id != inputs.run_id or mailbox.started_at < inputs.booted_at - _CLOCK_SKEW_SECONDS:
        return None
    if inputs.instance_id and mailbox.instance_id not in ("", inputs.instance_id):
        return None
    if last is not None and mailbox.sequence <= last.sequence:
        return None
    return mailbox


def _failed(mailbox: Mailbox) -> Refused:
    error = mailbox.error
    if error is None:
        return Refused(
            "boot",
            "unknown",
            "the node failed without a reason",
            hint="look at its last lines",
            log=mailbox.log,
        )
    if error.code == status.INTERRUPTED:
        return _interrupted(mailbox)
    return Refused("boot", error.code, f"{error.phase}: {error.message}", hint=error.hint, log=mailbox.log)


def _interrupted(mailbox: Mailbox) -> Refused:
    """Return that there was no capacity after all: nothing is wrong with the node, and another place may have it."""
    action = mailbox.notice.action if mailbox.notice is not None else "no word why"
    return Refused(
        "capacity",
        status.INTERRUPTED,
        f"the cloud took the spot machine back before the launch was over ({action})",
        hint="another zone, region or instance type may last longer; market on-demand is not taken back",
        log=mailbox.log,
    )


def _overdue(inputs: ReadinessInputs, last: Mailbox | None, waited: float) -> Refused:
    if last is None:
        return Refused(
            "boot",
            "node_silent",
            f"the node {inputs.machine_id} has not written a word in {waited:.0f} s",
            hint="its user data did not run or it can't reach the storage: look at the machine's console log",
        )
    return Refused(
        "boot",
        "deadline_exceeded",
        f"the node was not ready after {waited:.0f} s (bootDeadlineSeconds is {inputs.deadline_seconds}); last words: "
        f"{status.render(status.status_of(last))}",
        hint="look at its last lines; raise bootDeadlineSeconds if it was still making progress",
        log=last.log,
    )


def _await_completion(inputs: ReadinessInputs, operation: Operation, ready: Mailbox) -> float:
    """Return how long the completion took, in seconds."""
    bucket = Bucket(inputs.storage)
    endpoint = Endpoint(inputs.endpoint, inputs.tls_certificate, inputs.api_key)
    began = time.monotonic()
    while True:
        asked = time.monotonic()
        try:
            endpoint.complete(inputs.model)
        except EndpointSilent as error:
            last = _newest(bucket, mailbox_key(inputs.run_id), inputs, ready)
            if last is not None and last.state == "interrupted":
                raise _interrupted(last) from error
            if asked - began > _REACH_SECONDS:
                raise Refused(
                    "boot",
                    "endpoint_unreachable",
                    f"the node is ready, but {inputs.endpoint} gave no completion in {_REACH_SECONDS:.0f} s: {error}",
                    hint="check that this host's address is in allowedCidrs and that nothing between blocks the port",
                ) from error
            operation.wait(1)
        else:
            return time.monotonic() - asked
