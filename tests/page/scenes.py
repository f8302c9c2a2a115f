"""Launches in the states that the page has to show."""

from tests.page.world import HUGE, LLAMA, STAGES, Json, Record, World, moment

CAPACITY: Json = {
    "kind": "capacity",
    "code": "InsufficientInstanceCapacity",
    "stage": STAGES[1],
    "resource": "node-machine",
    "message": "There is no Spot capacity available that matches your request.",
    "hint": "Another zone is tried next; this one is left alone for 10 minutes.",
    "log": ["creating EC2 Instance: operation error EC2: RunInstances, StatusCode: 500, InsufficientInstanceCapacity"],
}
BOOT: Json = {
    "kind": "boot",
    "code": "serve_failed",
    "stage": STAGES[5],
    "resource": "node-readiness",
    "message": "vLLM ended with exit code 1 before it answered.",
    "hint": "Read the node's last lines; a shorter context or a machine with more memory may help.",
    "log": [
        "INFO 11-02 10:12:07 loading weights took 18.2 s",
        "ERROR 11-02 10:12:31 torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.25 GiB.",
        "ERROR 11-02 10:12:31 GPU 0 has a total capacity of 22.05 GiB of which 1.12 GiB is free.",
        "serve: vLLM ended with exit code 1",
    ],
}


def spread(record: Record, *seconds: float) -> None:
    """Set the timeline back, as if each stage had taken that long."""
    timeline = record.launch["timeline"]
    before = sum(seconds[: len(timeline)])
    record.launch["created_at"] = record.launch["started_at"] = moment(before)
    for span, length in zip(timeline, seconds, strict=False):
        span["started_at"] = moment(before)
        before -= length
        span["ended_at"] = None if span["ended_at"] is None else moment(before)


def _attempted(record: Record, number: int, began: float, ended: float | None) -> None:
    attempt = record.launch["attempts"][number - 1]
    attempt.update(started_at=moment(began), ended_at=None if ended is None else moment(ended))


def begun(world: World, **request: object) -> Record:
    """Return a launch whose first offer found no capacity, and whose second one loads the model."""
    record = world.launch({"model_name": LLAMA, **request})
    first, second = world.offers[LLAMA][:2]
    record.turn("running", waiting_before=None)
    record.reach(STAGES[0], 10.0, "the settings can be used")
    record.log("engine", "Updating (launch):", " +  liftoff:index:ModelNode node creating")
    record.reach(STAGES[1], 25.0, "g6.xlarge at aws eus2-az3")
    record.attempt(1, first, "running")
    record.log("engine", " +  aws:ec2:Instance node-machine creating", "error: InsufficientInstanceCapacity")
    record.attempt(1, first, "failed", error=CAPACITY)
    record.note("Next: g6.2xlarge (L4) at aws eus2-az3, spot, 0.1157 USD/hour")
    record.attempt(2, second, "running")
    record.log("engine", " +  aws:ec2:Instance node-machine created (14s)", " +  liftoff:index:Readiness node creating")
    record.reach(STAGES[2], 45.0, "waiting for the node's first words")
    record.reach(STAGES[3], 65.0, "41 of 86 packages")
    record.log("node", "boot: Debian 12, NVIDIA driver 580.95", "install: 86 packages", "weights: 4 files, 16.1 GB")
    record.reach(STAGES[4], 82.4, "3.9 of 16.1 GB")
    record.log("node", *(f"weights: part {part} of 240 verified" for part in range(1, 60)))
    record.launch["estimated_seconds_left"] = 180
    spread(record, 2, 31, 44, 38, 21)
    _attempted(record, 1, 134, 122)
    _attempted(record, 2, 122, None)
    return record


def finish(world: World, record: Record) -> Json:
    """Let a launch succeed; return its node."""
    record.reach(STAGES[5], 90.0, "compiling for this GPU")
    record.log("node", "vllm: application startup complete")
    record.reach(STAGES[6], 100.0, "the endpoint has answered")
    offered = world.offers[LLAMA][1]
    node = world.node(record, offered)
    record.attempt(2, offered, "succeeded")
    spread(record, 2, 31, 44, 38, 61, 47, 1)
    _attempted(record, 1, 222, 210)
    _attempted(record, 2, 210, 0)
    record.turn("succeeded", node=node)
    return node


def failed(world: World) -> Record:
    """Return a launch that failed in its last stages."""
    record = begun(world, provider="aws", max_price=0.5)
    record.reach(STAGES[5], 91.2, "loading weights")
    record.attempt(2, world.offers[LLAMA][1], "failed", error=BOOT)
    record.attempt(3, world.offers[LLAMA][2], "skipped", reason="a second machine of this kind would fail the same way")
    spread(record, 2, 31, 44, 38, 61, 24)
    record.turn("failed", error=BOOT)
    return record


def interruption(**changes: object) -> Json:
    """Return what is told of a node that its cloud takes back, and in whose place another one is launched."""
    told = {
        "since": moment(34),
        "relaunch_job_id": "launch-next",
        "restored_at": None,
        "seconds_without_endpoint": 34.0,
    }
    return {**told, **changes}


def a_day(world: World) -> None:
    """Fill the history with launches of every status, and nodes of every state."""
    for number in range(22):
        old = world.launch({"model_name": "Qwen/Qwen3-14B", "provider": "aws"})
        old.turn("running")
        old.turn("cancelled")
        began = 86400 + (22 - number) * 900
        old.launch.update(created_at=moment(began), started_at=moment(began), ended_at=moment(began - 41 - number))
    failed(world)
    finish(world, begun(world))
    lost = finish(world, begun(world))
    lost.update(state="evicted", state_reason="The cloud takes the spot machine back in 2 minutes.")
    taken = finish(world, begun(world))
    taken.update(state="interrupted", state_reason="its cloud takes it back (terminate)", interruption=interruption())
    new = finish(world, begun(world))
    new["replaces"] = {"node_id": lost["id"], "seconds_without_endpoint": 74.2}
    ill = finish(world, begun(world))
    ill.update(state="unhealthy", state_reason="No answer to the last 3 health checks.", idle_since=moment(900))
    gone = finish(world, begun(world))
    gone.update(state="gone", ended_at=moment(600), state_reason="Idle for 30 minutes.")
    begun(world)
    world.launch({"model_name": HUGE})
