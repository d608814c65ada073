"""The last maintenance runs."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("date", sa.Date, nullable=False),
        sa.Column("options", sa.String, nullable=False),
        sa.Column("started_at", sa.DateTime, nullable=False),
        sa.Column("finished_at", sa.DateTime, nullable=False),
        sa.Column("success", sa.Boolean, nullable=False),
        sa.Column("reason", sa.String),
        sa.Column("completed", sa.Integer, nullable=False),
        sa.Column("failed", sa.String, nullable=False),
        sa.Column("tasks", sa.String, nullable=False),
        sa.Column("task_seconds", sa.String, nullable=False),
    )
