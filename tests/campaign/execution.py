"""One run, carried out: a launch is asked for, its faults happen at their moments, and what came of it is judged."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.campaign import processes
from tests.campaign.oracle import CUT_OFF, ENDED, Broken, Machine, Seen, is_part, judge
from tests.campaign.schedule import Fault, Injection, Moment, Run
from tests.campaign.world import Life, World
from tests.clouds import aws_rules, azure_rules, errors, gcp_rules
from tests.clouds.properties import Values
from tests.control_plane.conftest import MODEL
from tests.launches.conftest import MACHINES, NATIVE

_TYPES: Final = {"aws": "g6.2xlarge", "azure": "Standard_NV36ads_A10_v5", "gcp": "g2-standard-8"}
_END_SECONDS: Final = 900.0
"""How long a launch may take to its end, with all that goes wrong."""
SETTLE_SECONDS: Final = 330.0
"""How long it may take until nothing is left that nobody owns: an eviction is noticed after two minutes."""
_LOOK_SECONDS: Final = 2.0

_KILLS: Final[Mapping[Fault, Callable[[str], bool]]] = {
    Fault.WORKER_KILLED: processes.kill_worker,
    Fault.ENGINE_KILLED: processes.kill_engine,
}
_SLACKS: Final = {
    Fault.EVICTED: 200.0,
    Fault.NODE_DIED: 200.0,
    # That it has gone is known once it is deleted again.
    Fault.DELETE_LOST: 120.0,
    Fault.SERVER_KILLED: 90.0,
    Fault.HOST_CRASHED: 90.0,
    Fault.DATABASE_GONE: 90.0,
    Fault.DISK_FULL: 90.0,
}
_RESET: Final = {
    # What the SDKs say of a connection that ended before the answer came.
    "aws": "creating EC2 Instance: operation error EC2: RunInstances, exceeded maximum number of attempts, 2, https "
    'response error StatusCode: 0, RequestID: , request send failed, Post "https://ec2.us-east-1.amazonaws.com/": '
    "read tcp 10.0.0.5:51544->54.239.28.168:443: read: connection reset by peer",
    "azure": 'Put "https://management.azure.com/subscriptions/0/virtualMachines/node?api-version=2024-07-01": read '
    "tcp 10.0.0.5:51544->20.37.158.1:443: read: connection reset by peer",
    "gcp": 'Post "https://compute.googleapis.com/compute/v1/projects/p/zones/z/instances?alt=json": read tcp '
    "10.0.0.5:51544->142.250.1.95:443: read: connection reset by peer",
}
_ADDRESSES: Final = {"aws": aws_rules.ADDRESS, "azure-native": azure_rules.ADDRESS, "gcp": gcp_rules.ADDRESS}
_DOWN: Final = {
    # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    "aws": "operation error EC2: RunInstances, exceeded maximum number of attempts, 2, https response error "
    f"StatusCode: 503, RequestID: {errors.REQUEST_ID}, api error Unavailable: The server is overloaded and can't "
    "handle the request.",
    # https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors
    "azure": 'Status=503 Code="ServiceUnavailable" Message="The service is unavailable."',
    # https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-common-errors
    "gcp": "googleapi: Error 503: The service is currently unavailable., backendError",
}


@dataclass
class Story:
    """What happened in a run, line by line."""

    run: Run
    began: float = field(default_factory=time.monotonic)
    lines: list[str] = field(default_factory=list)

    def tell(self, text: str) -> None:
        """Add a line."""
        self.lines.append(f"{time.monotonic() - self.began:7.1f} s  {text}")

    def __str__(self) -> str:
        plan = "; ".join(str(injection) for injection in self.run.injections) or "nothing goes wrong"
        options = f"{self.run.provider}, keep={self.run.keep}, {self.run.ending}"
        return "\n".join([f"{self.run.name}: {options}: {plan}", *self.lines])


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        happened: the faults whose moment came.
        status: the launch's, or what stands for it.
    """

    run: Run
    story: Story
    happened: tuple[Fault, ...]
    status: str
    broken: tuple[Broken, ...]


class Execution:
    """One run in a world."""

    def __init__(self, run: Run, world: World, settle_seconds: float = SETTLE_SECONDS) -> None:
        self._settle_seconds = settle_seconds
        self._run = run
        self._world = world
        self._story = Story(run)
        self._left = list(run.injections)
        self._happened: list[Fault] = []
        self._stacks: list[str] = []
        self._lock = threading.Lock()
        self._native = NATIVE[run.provider]

    def carry_out(self) -> Outcome:
        """Do everything, and judge it."""
        self._world.forget_blocks()
        asked = {"model_name": MODEL, "provider": self._run.provider, "instance_type": _TYPES[self._run.provider]}
        launch_id = self._world.ask(lambda server: server.launch(**asked, keep=self._run.keep))
        self._follow(launch_id)
        self._reach(launch_id, Moment.RECORDED)
        status = self._ended(launch_id)
        if status == "succeeded":
            self._reach(launch_id, Moment.READY)
        last = self._relaunched(launch_id) if status == "succeeded" else launch_id
        stays = self._run.ending == "leave" and status == "succeeded" and last == launch_id
        if stays and not self._took(Fault.EVICTED, Fault.NODE_DIED):
            self._until(lambda: self._stands(launch_id), "one machine, one node")
        else:
            self._take_down(last)
        # The engine writes again what a full disk has cut off.
        self._until(lambda: not self._world.unreadable(), "each state can be read")
        broken = [one for stack in self._stacks for one in self._judge(stack)]
        for one in broken:
            self._story.tell(f"BROKEN  {one}")
        return Outcome(self._run, self._story, tuple(self._happened), status, tuple(broken))

    @property
    def machines(self) -> int:
        """How many machines were made for it."""
        return sum(len(self._world.lives_of(stack)) for stack in self._stacks)

    def explain(self) -> str:
        """Return what the clouds hold and what Liftoff believes, in words."""
        found = []
        for stack in self._stacks:
            found.append(f"  {stack} in truth: {[record.id for record in self._world.left(stack)]}")
            launch = self._world.ask(lambda server, stack=stack: server.status(stack))  # type: ignore[misc]
            attempts = [
                f"{one['number']} {one['state']} {one['offer']['region']} {one['offer']['zone']} "
                f"{one['error'] and (one['error']['kind'], one['error']['code'], one['error']['message'][:300])}"
                for one in launch["attempts"]
            ]
            error = launch["error"] and {key: launch["error"][key] for key in ("kind", "code", "message")}
            node = launch["node"] and (launch["node"]["state"], launch["node"]["state_reason"])
            found.append(f"  believed: {launch['status']} {launch['message']!r} error={error} node={node}")
            found.extend(f"    attempt {line}" for line in attempts)
            if launch["ended_at"]:
                events = self._world.ask(lambda server, stack=stack: server.events(stack))  # type: ignore[misc]
                found.extend(f"    note: {data['text']}" for _, kind, data in events if kind == "note")
            lives = self._world.lives_of(stack)
            found.extend(
                f"    machine {life.record.id} {life.record.region}: {life.seconds(time.time()):.1f} s "
                f"{'exists' if life.ended is None else 'evicted' if life.evicted else 'deleted'}"
                for life in lives
            )
        return "\n".join(found)

    # The launch's way.

    def _follow(self, stack: str) -> None:
        self._stacks.append(stack)
        if self._run.has(Fault.BOOT_FAILED) and len(self._stacks) == 1:
            self._world.fails[stack] = "serve_failed"
        self._world.listen(stack, lambda moment: self._reach(stack, moment))
        self._story.tell(f"asked for {stack}")

    def _ended(self, launch_id: str) -> str:
        def look() -> str:
            status = str(self._world.ask(lambda server: server.status(launch_id))["status"])
            return status if status in ENDED else ""

        status = self._until(look, "the launch ends", _END_SECONDS) or "unended"
        self._story.tell(f"the launch has ended: {status}")
        return status

    def _relaunched(self, launch_id: str) -> str:
        """Return the launch that came of this one, once its node was noticed to be gone; or this one."""
        if not self._took(Fault.EVICTED, Fault.NODE_DIED) or Moment.READY not in {
            injection.moment for injection in self._run.injections
        }:
            return launch_id

        def noticed() -> bool:
            node = self._world.ask(lambda server: server.node_of(launch_id))
            return node is not None and node["state"] in {"evicted", "gone"}

        self._until(noticed, "the end of the node is noticed")
        if not self._run.keep:
            return launch_id
        node = self._world.ask(lambda server: server.node_of(launch_id))
        assert node is not None
        again = f"launch-{node['id']}"

        def is_there() -> bool:
            items = self._world.ask(lambda server: server.get("/admin/instances", limit="100"))["items"]
            return any(item["job_id"] == again for item in items)

        if self._until(is_there, "it is launched again"):
            self._follow(again)
            self._ended(again)
            return again
        return launch_id

    def _take_down(self, launch_id: str) -> None:
        def ask() -> object:
            return self._world.ask(lambda server: server.destroy(launch_id))

        ask()
        self._story.tell("take-down asked for")
        self._until(lambda: all(self._is_gone(stack) for stack in self._stacks), "nothing is left")

    def _is_gone(self, stack: str) -> bool:
        cut_off = bool(CUT_OFF & (set(self._happened) | self._weather()))
        if any(not (cut_off and is_part(record.token)) for record in self._world.left(stack)):
            return False
        launch = self._world.ask(lambda server: server.status(stack))
        return launch["ended_at"] is not None and (launch["node"] is None or launch["node"]["state"] == "gone")

    def _stands(self, stack: str) -> bool:
        node = self._world.ask(lambda server: server.node_of(stack))
        return len(self._world.machines(stack)) == 1 and node is not None and node["state"] == "healthy"

    def _until(self, look: Callable[[], Any], what: str, seconds: float | None = None) -> Any:
        seconds = self._settle_seconds if seconds is None else seconds
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            found = look()
            if found:
                return found
            time.sleep(_LOOK_SECONDS)
        self._story.tell(f"not within {seconds:.0f} s: {what}")
        return None

    # The faults.

    def _took(self, *faults: Fault) -> bool:
        return any(fault in faults for fault in self._happened)

    def _reach(self, stack: str, moment: Moment) -> None:
        with self._lock:
            now = [injection for injection in self._left if injection.moment is moment]
            self._left = [injection for injection in self._left if injection.moment is not moment]
            self._happened.extend(injection.fault for injection in now)
        for injection in now:
            self._story.tell(f"at {moment}: {injection.fault} ({injection.amount})")
            if injection.fault in _KILLS:
                self._kill(injection.fault, stack)
            else:
                self._inject(injection, stack)

    def _kill(self, fault: Fault, stack: str) -> None:
        if not _KILLS[fault](stack):
            self._story.tell("there is none to kill")
            with self._lock:
                self._happened.remove(fault)

    def _inject(self, injection: Injection, stack: str) -> None:
        world, fault, amount = self._world, injection.fault, injection.amount
        machine, faults = MACHINES[self._run.provider], self._world.clouds.faults
        reset, down = _RESET[self._run.provider], _DOWN[self._run.provider]
        throttled = errors.text(self._native, "throttled")

        def mine(inputs: Values) -> bool:
            return str((inputs.get("labels") or inputs.get("tags") or {}).get("liftoff-stack", "")) == stack

        match fault:
            case Fault.SERVER_KILLED | Fault.HOST_CRASHED:
                world.end_server(whole_host=fault is Fault.HOST_CRASHED)
            case Fault.NODE_DIED:
                self._end_node(stack)
                if injection.moment is not Moment.READY:
                    raise SystemExit
            case Fault.ANSWER_LOST:
                faults.add(self._native, machine, error=reset, lost_answer=True, when=mine)
            case Fault.ADDRESS_LOST:
                faults.add(self._native, _ADDRESSES[self._native], error=reset, lost_answer=True, when=mine)
            case Fault.ANSWER_NEVER:
                faults.add(self._native, machine, lost_answer=True, when=mine)
                self._later(2.0, lambda: self._cancel(stack))
            case Fault.ANSWER_LATE:
                faults.add(self._native, machine, delay_seconds=amount, when=mine)
            case Fault.REQUEST_REPEATED:
                faults.add(self._native, machine, repeated=True, when=mine)
            case Fault.PROVIDER_GONE:
                faults.add(self._native, machine, gone=True, when=mine)
            case Fault.THROTTLED:
                faults.add(self._native, machine, error=throttled, times=amount, when=mine)
            case Fault.STORM:
                faults.add(self._native, "", "*", error=throttled, times=amount, when=mine)
            case Fault.CAPACITY | Fault.QUOTA:
                kind = "capacity" if fault is Fault.CAPACITY else "quota"
                faults.add(self._native, machine, error=errors.text(self._native, kind), times=amount, when=mine)
            case Fault.REGION_DOWN:
                faults.add(self._native, "", error=down, times=amount, when=mine)
            case Fault.DELETE_REFUSED:
                faults.add(self._native, machine, "Delete", error=throttled, times=amount, when=mine)
            case Fault.DELETE_LOST:
                faults.add(self._native, machine, "Delete", error=reset, lost_answer=True, when=mine)
            case Fault.LISTING_STALE:
                world.hidden[stack] = float(amount)
            case Fault.LISTING_REFUSED:
                world.refuse_listings(amount)
            case Fault.EVICTED:
                self._later(0.3 if injection.moment is Moment.MADE else 0.0, lambda: self._evict(stack))
            case Fault.BOOT_FAILED:
                pass  # The node knows from its beginning.
            case Fault.BUCKET_REFUSES:
                world.for_a_while(fault, amount, lambda: world.bucket.refuse(amount), lambda: None)
            case Fault.BUCKET_SLOW:
                world.for_a_while(fault, amount, lambda: world.bucket.slow(amount), lambda: None)
            case Fault.DISK_FULL:
                if world.has_small_disk:
                    world.fill_disk(amount)
            case Fault.DATABASE_GONE:
                world.take_database(amount)
            case Fault.CLOCK_AHEAD | Fault.CLOCK_BACK:
                world.let_clock_jump(fault, amount)
            case Fault.CANCELLED:
                self._later(0.0, lambda: self._cancel(stack))

    def _later(self, seconds: float, act: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, act)
        timer.daemon = True
        timer.start()

    def _cancel(self, stack: str) -> None:
        self._world.ask(lambda server: server.cancel(stack))
        self._story.tell("cancelled")

    def _evict(self, stack: str) -> None:
        for record in self._world.machines(stack):
            self._world.clouds.evict(self._native, record.id)
            self._story.tell(f"{record.id} is taken back")

    def _end_node(self, stack: str) -> None:
        for record in self._world.machines(stack):
            node = self._world.site.nodes.get(record.id)
            if node is not None:
                node.end()

    # What came of it.

    def _judge(self, stack: str) -> list[Broken]:
        launch = self._world.ask(lambda server: server.status(stack))
        items = self._world.ask(lambda server: server.get("/admin/nodes"))["items"]
        nodes = [one for one in items if one["job_id"] == stack]
        now = time.time()
        faults = frozenset(self._happened) | self._weather()
        # The report is by the server's own clock, which looks at its error now and then.
        slack = _slack(faults) + self._world.clock_jumped(self._story.began - 5.0)
        return judge(
            Seen(
                stack,
                launch,
                nodes,
                [_machine(life, launch, slack, now) for life in self._world.lives_of(stack)],
                self._world.most.get(stack, 0),
                {record.id: record.token for record in self._world.left(stack)},
                self._world.unreadable(),
                faults,
            )
        )

    def _weather(self) -> frozenset[Fault]:
        now = time.monotonic()
        return frozenset(
            fault for fault, began, ended in list(self._world.weather) if began <= now and ended >= self._story.began
        )


def _machine(life: Life, launch: Any, slack: float, now: float) -> Machine:
    return Machine(life.record.id, life.seconds(now), _price(life.record, launch), slack, life.ended is None)


def _price(record: Any, launch: Any) -> float:
    """Return what the machine's kind costs there, by the offers of its launch."""
    prices = [one["offer"]["price"] for one in launch["attempts"] if one["offer"]["region"] == record.region]
    return float(prices[-1]) if prices else 0.0


def _slack(faults: frozenset[Fault]) -> float:
    """Return by how many seconds of a machine the report may be off: until Liftoff can know of its end."""
    return max((20.0, *(seconds for fault, seconds in _SLACKS.items() if fault in faults)))
