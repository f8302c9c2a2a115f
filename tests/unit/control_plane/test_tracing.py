"""A launch that has ended becomes one trace, with the times that the store holds."""

from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from control_plane import tracing
from control_plane.request import LOCAL_OFFER
from control_plane.store.database import Database, sqlite_url
from control_plane.store.launches import Launches
from control_plane.tracing import Traced, Untraced
from provider.status import Stage, Status

FULL = {"kind": "capacity", "code": "full", "stage": "", "resource": "", "message": "no room", "hint": "", "log": []}


@pytest.fixture
def launches(tmp_path: Path) -> Launches:
    database = Database(sqlite_url(tmp_path / "store.sqlite"))
    database.migrate()
    return Launches(database)


def test_a_launch_that_failed_is_a_trace_of_its_attempts_and_stages(launches: Launches) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    launches.add("launch-1", {"model_name": "tiny-llama"}, None)
    launches.begin("launch-1", "server")
    launches.set_status("launch-1", Status(25.0, Stage.REQUEST))
    number = launches.start_attempt("launch-1", LOCAL_OFFER)
    launches.end_attempt("launch-1", number, FULL)
    launches.skip_attempt("launch-1", LOCAL_OFFER.model_copy(update={"region": "r"}), "blocked")
    launches.end("launch-1", "failed", "no room", FULL)

    Traced(launches, provider.get_tracer("test")).ended("launch-1")

    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert set(spans) == {"launch", "attempt 1", Stage.REQUEST.title}
    root, attempt = spans["launch"], spans["attempt 1"]
    assert attempt.parent is not None
    assert attempt.parent.span_id == root.context.span_id
    assert attempt.attributes is not None
    assert attempt.attributes["error.type"] == "capacity/full"
    stored = launches.attempts_of("launch-1")[0]
    assert stored.started_at is not None
    assert attempt.start_time == round(stored.started_at * 1e9)


def test_nothing_is_traced_where_no_collector_is_named(launches: Launches) -> None:
    assert isinstance(tracing.choose(launches, {}), Untraced)
