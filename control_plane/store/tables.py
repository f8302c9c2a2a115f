"""The tables. Constraints keep rows out that could not be true; times are seconds since 1970, UTC.

A column may be NULL only where that means something, and its comment says what.
"""

from typing import Any, Final

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

LAUNCH_STATUSES: Final = ("queued", "running", "cancelling", "succeeded", "failed", "cancelled")
ENDED: Final = ("succeeded", "failed", "cancelled")
ATTEMPT_STATES: Final = ("skipped", "running", "succeeded", "failed")
EVENT_KINDS: Final = ("status", "note", "attempt", "launch", "log")
NODE_STATES: Final = ("healthy", "unhealthy", "interrupted", "evicted", "terminating", "gone")
SCOPES: Final = ("read", "launch")


def _one_of(column: str, allowed: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in allowed)})", name=f"{column}_is_known")


def _text(name: str, *more: Any, **options: Any) -> Column[str]:  # noqa: ANN401 - SQLAlchemy's own
    return Column(name, String(200), *more, nullable=False, **options)


METADATA: Final = MetaData(
    naming_convention={
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

launches: Final = Table(
    "launches",
    METADATA,
    _text("id", primary_key=True),
    # NULL: whoever asked gave no key.
    Column("idempotency_key", String(200), nullable=True, unique=True),
    Column("request", JSON, nullable=False),
    _text("status"),
    _text("stage"),
    Column("percent", Float, nullable=False),
    Column("message", Text, nullable=False),
    Column("plan", JSON, nullable=False, comment="the offers, in order; empty until the launch has begun"),
    Column("created_at", Float, nullable=False),
    # NULL: it waits in the queue, or was cancelled there.
    Column("started_at", Float, nullable=True),
    # NULL: it has not ended.
    Column("ended_at", Float, nullable=True),
    # NULL: it did not fail, or not yet.
    Column("error", JSON(none_as_null=True), nullable=True),
    # NULL: no server works on it.
    Column("server", String(200), nullable=True),
    # NULL: its stack is its own, and is made and removed with it.
    Column("stack", JSON(none_as_null=True), nullable=True),
    _one_of("status", LAUNCH_STATUSES),
    CheckConstraint("percent >= 0 AND percent <= 100", name="percent_is_one"),
    CheckConstraint("(ended_at IS NOT NULL) = (status IN ('succeeded', 'failed', 'cancelled'))", name="end_has_a_time"),
    CheckConstraint("(error IS NOT NULL) = (status = 'failed')", name="only_a_failure_has_an_error"),
    CheckConstraint("status <> 'running' OR started_at IS NOT NULL", name="a_running_one_has_begun"),
    Index("ix_launches_created", "created_at", "id"),
)

attempts: Final = Table(
    "attempts",
    METADATA,
    Column("launch_id", String(200), ForeignKey("launches.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("offer", JSON, nullable=False),
    _text("state"),
    Column("reason", Text, nullable=False, comment="why it was skipped; else empty"),
    # NULL: it was skipped.
    Column("started_at", Float, nullable=True),
    # NULL: it runs, or was skipped.
    Column("ended_at", Float, nullable=True),
    # NULL: it did not fail.
    Column("error", JSON(none_as_null=True), nullable=True),
    _one_of("state", ATTEMPT_STATES),
    CheckConstraint("number > 0", name="number_counts"),
    CheckConstraint("(started_at IS NULL) = (state = 'skipped')", name="only_a_skipped_one_never_began"),
    CheckConstraint("(ended_at IS NOT NULL) = (state IN ('succeeded', 'failed'))", name="end_has_a_time"),
    CheckConstraint("(error IS NOT NULL) = (state = 'failed')", name="only_a_failure_has_an_error"),
    CheckConstraint("(reason <> '') = (state = 'skipped')", name="a_skipped_one_says_why"),
)

stages: Final = Table(
    "stages",
    METADATA,
    Column("launch_id", String(200), ForeignKey("launches.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    _text("stage"),
    Column("started_at", Float, nullable=False),
    # NULL: it is on.
    Column("ended_at", Float, nullable=True),
)

events: Final = Table(
    "events",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("launch_id", String(200), ForeignKey("launches.id", ondelete="CASCADE"), nullable=False),
    _text("kind"),
    Column("data", JSON, nullable=False),
    Column("at", Float, nullable=False),
    _one_of("kind", EVENT_KINDS),
    Index("ix_events_launch", "launch_id", "id"),
    sqlite_autoincrement=True,
)

nodes: Final = Table(
    "nodes",
    METADATA,
    _text("id", primary_key=True),
    Column("launch_id", String(200), ForeignKey("launches.id"), nullable=False),
    _text("model"),
    _text("endpoint"),
    Column("certificate", Text, nullable=False),
    Column("offer", JSON, nullable=False),
    _text("state"),
    Column("state_reason", Text, nullable=False),
    Column("registered_at", Float, nullable=False),
    Column("last_healthy_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    # NULL: it may be idle for as long as it lives.
    Column("idle_minutes", Float, nullable=True),
    # NULL: it is in use, or nobody could ask it.
    Column("idle_since", Float, nullable=True),
    # NULL: it has not gone.
    Column("ended_at", Float, nullable=True),
    # NULL: no cloud has taken it back. Else since when it takes no more requests.
    Column("interrupted_at", Float, nullable=True),
    # NULL: nothing is launched in its place.
    Column("relaunched_as", String(200), nullable=True),
    # NULL: no other node stands in its place, or not yet.
    Column("restored_at", Float, nullable=True),
    # NULL: it stands in no other node's place.
    Column("replaces", String(200), nullable=True),
    # NULL: it stands in no other node's place. Else how long there was no endpoint.
    Column("outage_seconds", Float, nullable=True),
    _one_of("state", NODE_STATES),
    CheckConstraint("state <> 'interrupted' OR interrupted_at IS NOT NULL", name="an_interruption_has_a_time"),
    CheckConstraint(
        "relaunched_as IS NULL OR interrupted_at IS NOT NULL", name="only_an_interrupted_one_is_relaunched"
    ),
    CheckConstraint("restored_at IS NULL OR relaunched_as IS NOT NULL", name="only_a_relaunched_one_is_restored"),
    CheckConstraint("(replaces IS NULL) = (outage_seconds IS NULL)", name="a_replacement_knows_the_outage"),
    CheckConstraint("outage_seconds IS NULL OR outage_seconds >= 0", name="outage_seconds_count"),
    CheckConstraint("(ended_at IS NOT NULL) = (state = 'gone')", name="end_has_a_time"),
    CheckConstraint("idle_minutes IS NULL OR idle_minutes > 0", name="idle_minutes_count"),
    UniqueConstraint("launch_id"),
)

tokens: Final = Table(
    "tokens",
    METADATA,
    _text("id", primary_key=True),
    _text("name"),
    _text("scope"),
    _text("digest", unique=True),
    Column("created_at", Float, nullable=False),
    # NULL: it may be used.
    Column("revoked_at", Float, nullable=True),
    _one_of("scope", SCOPES),
)

blocks: Final = Table(
    "blocks",
    METADATA,
    _text("provider", primary_key=True),
    # Of the rest an empty text stands for all.
    _text("region", primary_key=True),
    _text("zone", primary_key=True),
    _text("instance_type", primary_key=True),
    _text("market", primary_key=True),
    Column("until", Float, nullable=False),
    _text("code"),
    _one_of("market", ("", "spot", "on-demand")),
)

identity: Final = Table(
    "identity",
    METADATA,
    # One row: `plane`.
    _text("key", primary_key=True),
    _text("value"),
)

machines: Final = Table(
    "machines",
    METADATA,
    Column("launch_id", String(200), ForeignKey("launches.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("price", Float, nullable=False, comment="USD/hour"),
    Column("started_at", Float, nullable=False, comment="when its cloud was asked for it"),
    # NULL: it exists, as far as is known.
    Column("ended_at", Float, nullable=True),
    CheckConstraint("ended_at IS NULL OR ended_at >= started_at", name="ends_after_it_began"),
)

servers: Final = Table(
    "servers",
    METADATA,
    _text("id", primary_key=True),
    Column("seen_at", Float, nullable=False),
)
