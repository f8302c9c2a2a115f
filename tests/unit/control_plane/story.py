"""Launches and nodes as the work behind the API leaves them in the store."""

import time
from typing import Any, Final

from automation.offers import Offer
from control_plane.request import LaunchAsked
from control_plane.services import Services
from control_plane.store.nodes import Node
from provider.status import Stage, Status

MODEL: Final = "meta-llama/Llama-3.1-8B-Instruct"
OFFER: Final = Offer(
    provider="aws",
    region="eu-south-2",
    zone="eus2-az3",
    instance_type="g6.xlarge",
    gpu="L4",
    spot=True,
    price=0.0913,
    source="live",
    seen=None,
)
ERROR: Final[dict[str, Any]] = {
    "kind": "capacity",
    "code": "InsufficientInstanceCapacity",
    "stage": "Requesting spot instance",
    "resource": "node-machine",
    "message": "there is no capacity",
    "hint": "another zone is tried next",
    "log": ["RunInstances: InsufficientInstanceCapacity"],
}


class Story:
    """Tells what happened to launches."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._number = 0

    def queued(self) -> str:
        self._number += 1
        request = LaunchAsked(model_name=MODEL).model_dump(mode="json")
        launch_id, _ = self._services.launches.add(f"launch-{self._number}", request, None)
        return launch_id

    def running(self) -> str:
        launch_id = self.queued()
        launches = self._services.launches
        launches.begin(launch_id, "a-server")
        launches.set_status(launch_id, Status(Stage.VALIDATE.start, Stage.VALIDATE))
        launches.skip_attempt(launch_id, OFFER.model_copy(update={"zone": "eus2-az1"}), "it was full a minute ago")
        number = launches.start_attempt(launch_id, OFFER)
        launches.log(launch_id, "engine", ["node-machine: will create"])
        launches.end_attempt(launch_id, number, ERROR)
        launches.note(launch_id, "Next: the same elsewhere")
        launches.start_attempt(launch_id, OFFER.model_copy(update={"zone": "eus2-az2"}))
        launches.set_status(launch_id, Status(Stage.PROVISION.start, Stage.PROVISION, "waiting"))
        launches.log(launch_id, "node", ["boot: hello", "boot: weights"])
        return launch_id

    def cancelling(self) -> str:
        launch_id = self.running()
        self._services.launches.ask_to_cancel(launch_id)
        return launch_id

    def succeeded(self) -> str:
        launch_id = self.running()
        self._services.launches.end_attempt(launch_id, 3, None)
        assert self._services.launches.succeed(self._node(launch_id))
        return launch_id

    def failed(self) -> str:
        launch_id = self.running()
        self._services.launches.end_attempt(launch_id, 3, ERROR)
        self._services.launches.end(launch_id, "failed", ERROR["message"], ERROR)
        return launch_id

    def cancelled(self) -> str:
        launch_id = self.queued()
        self._services.launches.ask_to_cancel(launch_id)
        return launch_id

    def _node(self, launch_id: str) -> Node:
        now = time.time()
        return Node(
            id=f"node-of-{launch_id}",
            launch_id=launch_id,
            model=MODEL,
            endpoint="https://203.0.113.7",
            certificate="-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            offer=OFFER.model_dump(mode="json"),
            state="healthy",
            state_reason="answers",
            registered_at=now - 3600,
            last_healthy_at=now,
            expires_at=now + 3600,
            idle_minutes=30.0,
            idle_since=None,
            ended_at=None,
        )
