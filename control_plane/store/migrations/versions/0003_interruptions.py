"""Interruptions"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_STATES = "state IN ('healthy', 'unhealthy', {}'evicted', 'terminating', 'gone')"
_COLUMNS = ("interrupted_at", "relaunched_as", "restored_at", "replaces", "outage_seconds")
_CHECKS = (
    ("an_interruption_has_a_time", "state <> 'interrupted' OR interrupted_at IS NOT NULL"),
    ("only_an_interrupted_one_is_relaunched", "relaunched_as IS NULL OR interrupted_at IS NOT NULL"),
    ("only_a_relaunched_one_is_restored", "restored_at IS NULL OR relaunched_as IS NOT NULL"),
    ("a_replacement_knows_the_outage", "(replaces IS NULL) = (outage_seconds IS NULL)"),
    ("outage_seconds_count", "outage_seconds IS NULL OR outage_seconds >= 0"),
)


def upgrade() -> None:
    with op.batch_alter_table("nodes", schema=None) as batch_op:
        batch_op.add_column(sa.Column("interrupted_at", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("relaunched_as", sa.String(length=200), nullable=True))
        batch_op.add_column(sa.Column("restored_at", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("replaces", sa.String(length=200), nullable=True))
        batch_op.add_column(sa.Column("outage_seconds", sa.Float(), nullable=True))
        batch_op.drop_constraint(op.f("ck_nodes_state_is_known"), type_="check")
        batch_op.create_check_constraint(op.f("ck_nodes_state_is_known"), sa.text(_STATES.format("'interrupted', ")))
        for name, condition in _CHECKS:
            batch_op.create_check_constraint(op.f(f"ck_nodes_{name}"), sa.text(condition))


def downgrade() -> None:
    op.execute(sa.text("UPDATE nodes SET state = 'unhealthy' WHERE state = 'interrupted'"))
    with op.batch_alter_table("nodes", schema=None) as batch_op:
        for name, _ in _CHECKS:
            batch_op.drop_constraint(op.f(f"ck_nodes_{name}"), type_="check")
        batch_op.drop_constraint(op.f("ck_nodes_state_is_known"), type_="check")
        batch_op.create_check_constraint(op.f("ck_nodes_state_is_known"), sa.text(_STATES.format("")))
        for name in _COLUMNS:
            batch_op.drop_column(name)
