"""What the scripted server knows: launches and their events, nodes, tokens. As a database, it outlives the server."""

import itertools
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

Json = dict[str, Any]

STAGES: Final = (
    "Validating configuration",
    "Requesting spot instance",
    "Provisioning instance",
    "Installing dependencies",
    "Loading model from R2",
    "Starting vLLM",
    "Registering node",
)
CATALOG_SOURCE: Final = "https://github.com/skypilot-org/skypilot-catalog/blob/00148f2/catalogs/v8/aws/vms.csv"
LLAMA: Final = "meta-llama/Llama-3.1-8B-Instruct"
HUGE: Final = "meta-llama/Llama-3.1-405B-Instruct"
API_KEY: Final = "sk-secret-of-the-node-7f3a9c"


def moment(seconds_ago: float = 0) -> str:
    """Return a time as the API writes it."""
    return (
        (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def offer(
    provider: str,
    region: str,
    instance_type: str,
    gpu: str,
    price: float,
    memory: float | None,
    *,
    zone: str = "",
    spot: bool = True,
    context: int = 33792,
    needed: float | None = 20.4,
    source: str = "live",
    notes: tuple[str, ...] = (),
) -> Json:
    """Return an offer as `GET /admin/offers` has it."""
    return {
        "provider": provider,
        "region": region,
        "zone": zone,
        "instance_type": instance_type,
        "gpu": gpu,
        "spot": spot,
        "price": price,
        "source": source,
        "seen": None if source == "live" else "2026-08-20",
        "max_model_len": context,
        "gpu_memory_gib": memory,
        "needed_gib": needed,
        "notes": list(notes),
    }


_LLAMA_OFFERS: Final = [
    offer(
        "aws",
        "eu-south-2",
        "g6.xlarge",
        "L4",
        0.0913,
        22.5,
        zone="eus2-az3",
        notes=("16 GiB of host RAM for 15.0 GiB of weights: stream them to the GPU, or take a type with more",),
    ),
    offer("aws", "eu-south-2", "g6.2xlarge", "L4", 0.1157, 22.5, zone="eus2-az3"),
    offer("aws", "us-east-2", "g6.xlarge", "L4", 0.2599, 22.5, zone="use2-az2"),
    offer("aws", "eu-south-2", "g6e.2xlarge", "L40S", 0.294, 44.7, zone="eus2-az3", context=131072, needed=32.6),
    offer("gcp", "us-east4", "g2-standard-4", "L4", 0.342, 22.5, zone="us-east4-a", source=CATALOG_SOURCE),
    offer("gcp", "us-east4", "g2-standard-4", "L4", 0.342, 22.5, zone="us-east4-b", source=CATALOG_SOURCE),
    offer("azure", "eastus", "Standard_NV36ads_A10_v5", "A10", 0.64, 23.7, source=CATALOG_SOURCE),
    offer("azure", "westeurope", "Standard_NV36ads_A10_v5", "A10", 0.71, 23.7, source=CATALOG_SOURCE),
    offer("azure", "eastus", "Standard_NC24ads_A100_v4", "A100 80GB", 0.95, 79.3, context=131072, needed=32.6),
    offer("aws", "us-east-2", "g6.xlarge", "L4", 0.8048, 22.5, spot=False),
    offer("gcp", "us-east4", "g2-standard-4", "L4", 0.7068, 22.5, spot=False, source=CATALOG_SOURCE),
]
_LOCAL_OFFERS: Final = [offer("local", "", "this host", "none", 0.0, None, spot=False, context=2048, needed=None)]

CATALOG: Final[Json] = {
    "providers": ["aws", "azure", "gcp", "local"],
    "models": [
        {"name": "tiny-llama", "parameters": 1100000, "context": 2048, "quantisations": ["bf16"], "gated": False},
        {"name": LLAMA, "parameters": 8030261248, "context": 131072, "quantisations": ["bf16", "fp8"], "gated": True},
        {
            "name": "Qwen/Qwen3-14B",
            "parameters": 14768307200,
            "context": 40960,
            "quantisations": ["bf16"],
            "gated": False,
        },
        {
            "name": "mistralai/Mistral-Small-3.2-24B-Instruct-2506",
            "parameters": 23572403200,
            "context": 131072,
            "quantisations": ["bf16", "fp8"],
            "gated": False,
        },
        {"name": HUGE, "parameters": 405853388800, "context": 131072, "quantisations": ["fp8"], "gated": True},
    ],
    "instance_types": [
        {
            "provider": "aws",
            "name": "g6.xlarge",
            "gpu": "L4",
            "gpu_count": 1,
            "gpu_memory_gib": 22.5,
            "regions": ["eu-south-2", "us-east-2"],
        },
    ],
}


@dataclass
class Record:
    """A launch and all that it has said."""

    launch: Json
    events: list[tuple[int, str, Json]] = field(default_factory=list)
    logs: dict[str, list[str]] = field(default_factory=lambda: {"engine": [], "node": []})

    @property
    def job_id(self) -> str:
        return str(self.launch["job_id"])

    @property
    def ended(self) -> bool:
        return self.launch["status"] in {"succeeded", "failed", "cancelled"}

    def answer(self) -> Json:
        """Return what `status` answers."""
        return {**self.launch, "event_id": len(self.events)}

    def emit(self, kind: str, data: Json) -> None:
        """Say one event."""
        self.events.append((len(self.events) + 1, kind, data))

    def log(self, source: str, *lines: str) -> None:
        """Say lines of a log."""
        self.logs[source] += lines
        self.emit("log", {"source": source, "lines": list(lines), "at": moment()})

    def note(self, text: str) -> None:
        """Say a decision."""
        self.emit("note", {"text": text, "at": moment()})

    def turn(self, status: str, **further: object) -> None:
        """Change the launch's status."""
        self.launch.update(status=status, **further)
        if status == "running" and self.launch["started_at"] is None:
            self.launch["started_at"] = moment()
        if self.ended:
            self.launch["ended_at"] = moment()
            self.launch["estimated_seconds_left"] = None
            for span in self.launch["timeline"]:
                span["ended_at"] = span["ended_at"] or moment()
        self.emit("launch", {**self.answer(), "event_id": len(self.events) + 1})

    def reach(self, stage: str, percentage: float, message: str) -> None:
        """Say how far it is."""
        at = moment()
        timeline = self.launch["timeline"]
        if not timeline or timeline[-1]["stage"] != stage:
            if timeline and timeline[-1]["ended_at"] is None:
                timeline[-1]["ended_at"] = at
            timeline.append({"stage": stage, "started_at": at, "ended_at": None})
        self.launch.update(stage=stage, percentage=percentage, message=message)
        self.emit("status", {"stage": stage, "percentage": percentage, "message": message, "at": at})

    def attempt(self, number: int, offered: Json, state: str, *, reason: str = "", error: Json | None = None) -> None:
        """Say what became of an offer."""
        names = ("provider", "region", "zone", "instance_type", "gpu", "spot", "price", "source")
        known = {one["number"]: one for one in self.launch["attempts"]}
        before = known.get(number, {"started_at": None if state == "skipped" else moment()})
        known[number] = {
            "number": number,
            "offer": {name: offered[name] for name in names},
            "state": state,
            "reason": reason,
            "started_at": before["started_at"],
            "ended_at": None if state in {"running", "skipped"} else moment(),
            "error": error,
        }
        self.launch["attempts"] = [known[one] for one in sorted(known)]
        self.emit("attempt", known[number])


class World:
    """All that a server of docs/api.md would keep."""

    def __init__(self) -> None:
        self.tokens: dict[str, Json] = {
            "lo_launch": {"name": "my-laptop", "scopes": ["launch", "read"]},
            "lo_read": {"name": "wall-screen", "scopes": ["read"]},
        }
        self.sessions: dict[str, str] = {}
        self.offers: dict[str, list[Json]] = {
            LLAMA: list(_LLAMA_OFFERS),
            "tiny-llama": list(_LOCAL_OFFERS),
            "Qwen/Qwen3-14B": [offer("aws", "eu-south-2", "g6e.2xlarge", "L40S", 0.294, 44.7, needed=38.2)],
        }
        self.refused: dict[str, list[str]] = {
            LLAMA: ["aws g4dn.xlarge: needs 20.4 GiB of GPU memory, a T4 has 15.0 GiB"],
            HUGE: [
                "aws p5.48xlarge: no price is known in any region",
                "gcp a3-highgpu-8g: needs 702 GiB of GPU memory, 8x H100 have 632 GiB",
            ],
        }
        self.launches: dict[str, Record] = {}
        self.keys: list[str] = []
        self.by_key: dict[str, str] = {}
        self.nodes: dict[str, Json] = {}
        self.access_asked: list[str] = []
        self.destroyed: list[str] = []
        self._number = itertools.count(1)

    def launch(self, request: Json, *, status: str = "queued") -> Record:
        """Add a launch."""
        number = next(self._number)
        given = {
            "provider": None,
            "region": None,
            "instance_type": None,
            "market": "spot",
            "max_price": None,
            "max_model_len": None,
            "idle_minutes": 30,
            "lifetime_hours": 8,
            "keep": False,
            **request,
        }
        launch: Json = {
            "job_id": f"launch-{uuid.UUID(int=0x3F2A_0000_0000_4000_8000_0000_0000_0000 + number)}",
            "model_name": request["model_name"],
            "request": given,
            "status": status,
            "stage": STAGES[0],
            "percentage": 0.0,
            "message": "",
            "waiting_before": 2 if status == "queued" else None,
            "created_at": moment(),
            "started_at": None,
            "ended_at": None,
            "estimated_seconds_left": None,
            "timeline": [],
            "attempts": [],
            "error": None,
            "cost_so_far": 0.0,
            "node": None,
        }
        record = Record(launch)
        self.launches[record.job_id] = record
        return record

    def node(self, record: Record, offered: Json, **further: object) -> Json:
        """Add the node of a launch."""
        identifier = f"node-{len(self.nodes) + 1}"
        node: Json = {
            "id": identifier,
            "job_id": record.job_id,
            "model": record.launch["model_name"],
            "endpoint": f"https://203.0.113.{10 + len(self.nodes)}/v1",
            **{name: offered[name] for name in ("provider", "region", "zone", "instance_type", "gpu", "spot")},
            "price_per_hour": offered["price"],
            "cost_so_far": 0.11,
            "state": "healthy",
            "state_reason": "",
            "registered_at": moment(4300),
            "last_healthy_at": moment(6),
            "expires_at": moment(-6.8 * 3600),
            "idle_minutes": 30,
            "idle_since": None,
            "ended_at": None,
            **further,
        }
        self.nodes[identifier] = node
        return node
