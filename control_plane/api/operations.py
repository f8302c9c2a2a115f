"""How the server itself is, and what other tools read of its nodes."""

from typing import Any, Final

import yaml
from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from control_plane.api import access, shapes
from control_plane.api.access import Parts
from control_plane.api.problems import Problem, documented
from control_plane.services import Services
from control_plane.store.nodes import Node

_PLAIN: Final = "text/plain; version=0.0.4; charset=utf-8"

_OF_ALL: Final = documented(401, 429)

router = APIRouter(tags=["operations"])


def _in(media_type: str, kind: str) -> dict[int | str, dict[str, Any]]:
    content = {media_type: {"schema": {"type": kind}}}
    return {200: {"description": "the document", "content": content}, **_OF_ALL}


@router.get("/healthz")
def healthz() -> shapes.Health:
    """Tell that the process answers."""
    return shapes.Health(status="ok")


@router.get("/readyz", responses=documented(429, 503))
def readyz(parts: Parts) -> shapes.Health:
    """Tell that the database answers."""
    if not parts.database.answers():
        raise Problem(503, "unknown", "database_silent", "the database does not answer", "look after the database")
    return shapes.Health(status="ok")


@router.get("/metrics", dependencies=[access.reads()], response_class=Response, responses=_in("text/plain", "string"))
def metrics(parts: Parts) -> Response:
    """Tell how many launches and nodes there are, for Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Counts(parts))
    return Response(generate_latest(registry), media_type=_PLAIN)


@router.get("/export/prometheus", dependencies=[access.reads()], responses=_OF_ALL)
def prometheus(parts: Parts) -> list[shapes.PrometheusTargets]:
    """List the healthy nodes for Prometheus: https://prometheus.io/docs/prometheus/latest/http_sd/."""
    return [
        shapes.PrometheusTargets(
            targets=[node.endpoint.removeprefix("https://")],
            labels={
                "__scheme__": "https",
                "model": node.model,
                "provider": str(node.offer["provider"]),
                "region": str(node.offer["region"]),
                "node": node.id,
            },
        )
        for node in _healthy(parts)
    ]


@router.get(
    "/export/litellm",
    dependencies=[access.reads()],
    response_class=Response,
    responses=_in("application/yaml", "object"),
)
def litellm(parts: Parts) -> Response:
    """Return the model list of a LiteLLM proxy; each key is named by a variable of its environment.

    https://docs.litellm.ai/docs/proxy/configs
    """
    models = [
        {
            "model_name": node.model,
            "litellm_params": {
                "model": f"hosted_vllm/{node.model}",
                "api_base": f"{node.endpoint}/v1",
                "api_key": f"os.environ/LIFTOFF_{node.id.replace('-', '_').upper()}",
            },
            "model_info": {"id": node.id},
        }
        for node in _healthy(parts)
    ]
    return Response(yaml.safe_dump({"model_list": models}, sort_keys=False), media_type="application/yaml")


@router.get("/export/vllm-router", dependencies=[access.reads()], responses=_OF_ALL)
def vllm_router(parts: Parts) -> shapes.VllmRouter:
    """Return the static backends of vLLM's router: https://github.com/vllm-project/production-stack."""
    healthy = _healthy(parts)
    return shapes.VllmRouter(
        service_discovery="static",
        static_backends=",".join(node.endpoint for node in healthy),
        static_models=",".join(node.model for node in healthy),
    )


class _Counts(Collector):
    def __init__(self, parts: Services) -> None:
        self._parts = parts

    def collect(self) -> list[GaugeMetricFamily]:
        """Return the counts as they are now."""
        launches = GaugeMetricFamily("liftoff_launches", "Launches by status", labels=["status"])
        for status, number in sorted(self._parts.launches.counts().items()):
            launches.add_metric([status], number)
        nodes = GaugeMetricFamily("liftoff_nodes", "Nodes by state and provider", labels=["state", "provider"])
        price = GaugeMetricFamily("liftoff_usd_per_hour", "What the nodes cost that have not gone, in USD/hour")
        found = self._parts.nodes.all()
        kinds = sorted({(node.state, str(node.offer["provider"])) for node in found})
        for state, provider in kinds:
            number = sum((node.state, node.offer["provider"]) == (state, provider) for node in found)
            nodes.add_metric([state, provider], number)
        price.add_metric([], sum(float(node.offer["price"]) for node in found if node.state != "gone"))
        return [launches, nodes, price]


def _healthy(parts: Services) -> list[Node]:
    return parts.nodes.all("healthy")
