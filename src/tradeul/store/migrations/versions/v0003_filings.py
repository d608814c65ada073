"""Filings and news, the SEC's companies, and how far each was read."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "filings",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("accession", sa.String, nullable=False, unique=True),
        sa.Column("form", sa.String, nullable=False),
        sa.Column("filed", sa.Date, nullable=False),
        sa.Column("accepted_at", sa.DateTime, nullable=False, index=True),
        sa.Column("told", sa.Boolean, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "filers",
        sa.Column("cik", sa.String, primary_key=True),
        sa.Column("accession", sa.String, primary_key=True, index=True),
    )
    op.create_table(
        "companies",
        sa.Column("symbol", sa.String, primary_key=True),
        sa.Column("cik", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
    )
    op.create_table(
        "news",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("published_at", sa.DateTime, nullable=False, index=True),
        sa.Column("told", sa.Boolean, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "news_tickers",
        sa.Column("symbol", sa.String, primary_key=True),
        sa.Column("id", sa.String, primary_key=True, index=True),
    )
    op.create_table(
        "marks",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("at", sa.DateTime, nullable=False),
    )
