"""The ledger of partitions, and the counters."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "ledger",
        sa.Column("dataset", sa.String, primary_key=True),
        sa.Column("session", sa.Date, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("expected", sa.Integer),
        sa.Column("got", sa.Integer),
        sa.Column("missing", sa.String, nullable=False),
        sa.Column("checksum", sa.String),
        sa.Column("inputs", sa.String),
        sa.Column("started_at", sa.DateTime),
        sa.Column("finished_at", sa.DateTime),
        sa.Column("error", sa.String),
        sa.Column("code_version", sa.String),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
