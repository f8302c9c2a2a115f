"""Traces of launches for OpenTelemetry, told once a launch has ended: attempts and stages with their own times.

They are made from what the store holds, not as things happen: a launch may go on on another server than it began on.
"""

import os
from collections.abc import Mapping
from typing import Final, Protocol

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, StatusCode, Tracer

from control_plane.store.launches import Launch, Launches

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""https://opentelemetry.io/docs/languages/sdk-configuration/otlp-exporter/"""
_NANOSECONDS: Final = 1_000_000_000

Attributes = Mapping[str, str | float | bool]


class Tracing(Protocol):
    """Who is told of a launch that has ended."""

    def ended(self, launch_id: str) -> None:
        """Tell of it."""


class Untraced:
    """Nobody: no exporter is set up."""

    def ended(self, launch_id: str) -> None:
        """Tell nobody."""


class Traced:
    """Spans of launches, to the exporter of a tracer."""

    def __init__(self, launches: Launches, tracer: Tracer) -> None:
        self._launches = launches
        self._tracer = tracer

    def ended(self, launch_id: str) -> None:
        """Tell of a launch: one span for it, and one below it for each attempt and each stage."""
        launch = self._launches.get(launch_id)
        if launch.ended_at is None:
            return
        root = self._begin("launch", launch.created_at, _of_launch(launch))
        with trace.use_span(root):
            for attempt in self._launches.attempts_of(launch_id):
                if attempt.started_at is None:
                    continue
                offer = attempt.offer
                told: Attributes = {
                    "cloud.provider": str(offer["provider"]),
                    "cloud.region": str(offer["region"]),
                    "liftoff.instance_type": str(offer["instance_type"]),
                    "liftoff.price_usd_per_hour": float(offer["price"]),
                }
                span = self._begin(f"attempt {attempt.number}", attempt.started_at, told)
                _end(span, attempt.ended_at or launch.ended_at, attempt.error)
            for stage in self._launches.stages_of(launch_id):
                _end(self._begin(stage.stage, stage.started_at, {}), stage.ended_at or launch.ended_at, None)
        _end(root, launch.ended_at, launch.error)

    def _begin(self, name: str, at: float, told: Attributes) -> Span:
        return self._tracer.start_span(name, attributes=dict(told), start_time=round(at * _NANOSECONDS))


def choose(launches: Launches, environment: Mapping[str, str] = os.environ) -> Tracing:
    """Return who is told: the collector that OpenTelemetry's own variables name, or nobody."""
    if not any(environment.get(name) for name in _ENDPOINTS):
        return Untraced()
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    provider = TracerProvider(resource=Resource.create({"service.name": "liftoff"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traced(launches, provider.get_tracer("liftoff"))


def _of_launch(launch: Launch) -> Attributes:
    return {
        "liftoff.job_id": launch.id,
        "liftoff.model": str(launch.request["model_name"]),
        "liftoff.status": launch.status,
        "liftoff.waited_seconds": round((launch.started_at or launch.ended_at or 0.0) - launch.created_at, 3),
    }


def _end(span: Span, at: float, error: Mapping[str, object] | None) -> None:
    if error is not None:
        span.set_attribute("error.type", f"{error['kind']}/{error['code']}")
        span.set_status(StatusCode.ERROR, str(error["message"]))
    span.end(round(at * _NANOSECONDS))
