"""What machines cost, and whose they are"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "identity",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("value", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_identity")),
    )
    op.create_table(
        "machines",
        sa.Column("launch_id", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("price", sa.Float(), nullable=False, comment="USD/hour"),
        sa.Column("started_at", sa.Float(), nullable=False, comment="when its cloud was asked for it"),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.CheckConstraint("ended_at IS NULL OR ended_at >= started_at", name=op.f("ck_machines_ends_after_it_began")),
        sa.ForeignKeyConstraint(["launch_id"], ["launches.id"], name=op.f("fk_machines_launch_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("launch_id", "number", name=op.f("pk_machines")),
    )


def downgrade() -> None:
    op.drop_table("machines")
    op.drop_table("identity")
