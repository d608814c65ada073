"""Filings and news in the catalog: each once, by the SEC's or the vendor's number, and how far each source was read.

    add -> a number of ours, in order of arrival -> `after` it: what the bus has not heard yet

What is history when it arrives is never told (`told` is false). A row holds the
whole record as JSON, as the bus has it; the columns beside it are what is
asked for. Calls block: use a thread; each raises StoreError when the catalog
does not answer. It does not know what a form means, nor who is asked when
(`filings/`).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from tradeul.records.filings import Article, Company, Filing
from tradeul.store.catalog import METADATA, Catalog, Instant

_filings = sa.Table(
    "filings",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("accession", sa.String, nullable=False, unique=True),
    sa.Column("form", sa.String, nullable=False),
    sa.Column("filed", sa.Date, nullable=False),
    sa.Column("accepted_at", Instant, nullable=False, index=True),
    sa.Column("told", sa.Boolean, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
)
_filers = sa.Table(
    "filers",
    METADATA,
    sa.Column("cik", sa.String, primary_key=True),
    sa.Column("accession", sa.String, primary_key=True, index=True),
)
_companies = sa.Table(
    "companies",
    METADATA,
    sa.Column("symbol", sa.String, primary_key=True),
    sa.Column("cik", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
)
_news = sa.Table(
    "news",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", sa.String, nullable=False, unique=True),
    sa.Column("published_at", Instant, nullable=False, index=True),
    sa.Column("told", sa.Boolean, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
)
_news_tickers = sa.Table(
    "news_tickers",
    METADATA,
    sa.Column("symbol", sa.String, primary_key=True),
    sa.Column("id", sa.String, primary_key=True, index=True),
)
_marks = sa.Table(
    "marks",
    METADATA,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("at", Instant, nullable=False),
)
_filing = msgspec.json.Decoder(Filing)


class Numbered(msgspec.Struct, frozen=True):
    """A record as JSON, with our number of it."""

    number: int
    document: bytes


class Found(msgspec.Struct, frozen=True):
    total: int
    documents: list[bytes]


class FilingsStore:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def _writing(self) -> AbstractContextManager[sa.Connection]:
        return self._catalog.transaction("Filings and news could not be kept")

    def _reading(self) -> AbstractContextManager[sa.Connection]:
        return self._catalog.transaction("Filings and news could not be read")

    def add_filings(self, filings: Iterable[Filing], told_since: datetime) -> list[Filing]:
        """Those that were not known; to a known one only filers are added that it did not name, and their tickers.

        What was accepted before ``told_since`` is not for the bus.

        Raises:
            StoreError: the catalog did not take them; then it took none.
        """
        with self._writing() as connection:
            return [filing for filing in filings if _add_filing(connection, filing, told_since)]

    def add_news(self, articles: Iterable[Article], told_since: datetime) -> list[Article]:
        """Those that were not known. What was published before ``told_since`` is not for the bus.

        Raises:
            StoreError: the catalog did not take them; then it took none.
        """
        with self._writing() as connection:
            return [article for article in articles if _add_article(connection, article, told_since)]

    def filings_after(self, number: int, most: int) -> list[Numbered]:
        """For the bus: the last ``most`` of those that came after ``number``, in order of arrival."""
        return self._after(_filings, number, most)

    def news_after(self, number: int, most: int) -> list[Numbered]:
        return self._after(_news, number, most)

    def _after(self, table: sa.Table, number: int, most: int) -> list[Numbered]:
        wanted = sa.select(table.c.number, table.c.document).where(table.c.told & (table.c.number > number))
        wanted = wanted.order_by(table.c.number.desc()).limit(most)
        with self._reading() as connection:
            return [Numbered(row.number, row.document) for row in connection.execute(wanted)][::-1]

    def last_filing(self) -> int:
        """The number of the last one for the bus; 0 while there is none."""
        return self._last(_filings)

    def last_article(self) -> int:
        return self._last(_news)

    def _last(self, table: sa.Table) -> int:
        with self._reading() as connection:
            return connection.execute(sa.select(sa.func.max(table.c.number)).where(table.c.told)).scalar_one() or 0

    def find_filings(
        self,
        *,
        ciks: Sequence[str] | None = None,
        form: str | None = None,
        first: date | None = None,
        last: date | None = None,
        skip: int = 0,
        most: int = 100,
    ) -> Found:
        """The newest first. ``ciks``: of any of these; ``first`` and ``last`` are dates of filing, both included."""
        wanted: sa.ColumnElement[bool] = sa.true()
        if ciks is not None:
            wanted &= _filings.c.accession.in_(sa.select(_filers.c.accession).where(_filers.c.cik.in_(ciks)))
        if form is not None:
            wanted &= _filings.c.form == form
        if first is not None:
            wanted &= _filings.c.filed >= first
        if last is not None:
            wanted &= _filings.c.filed <= last
        rows = sa.select(_filings.c.document).where(wanted).order_by(_filings.c.accepted_at.desc(), _filings.c.number.desc())
        return self._found(sa.select(sa.func.count()).select_from(_filings).where(wanted), rows, skip, most)

    def all_filings(self, together: int) -> Iterator[list[bytes]]:
        """So many at a time, in order of arrival, all of one state of the catalog."""
        return self._all(_filings, together)

    def all_news(self, together: int) -> Iterator[list[bytes]]:
        return self._all(_news, together)

    def _all(self, table: sa.Table, together: int) -> Iterator[list[bytes]]:
        wanted = sa.select(table.c.document).order_by(table.c.number).execution_options(yield_per=together)
        with self._reading() as connection:
            for part in connection.execute(wanted).partitions():
                yield [row.document for row in part]

    def filing(self, accession: str) -> bytes | None:
        with self._reading() as connection:
            found = connection.execute(sa.select(_filings.c.document).where(_filings.c.accession == accession)).scalar_one_or_none()
        return None if found is None else bytes(found)

    def find_news(self, symbol: str | None, since: datetime | None, most: int) -> Found:
        """The newest first."""
        wanted: sa.ColumnElement[bool] = sa.true()
        if symbol is not None:
            wanted &= _news.c.id.in_(sa.select(_news_tickers.c.id).where(_news_tickers.c.symbol == symbol))
        if since is not None:
            wanted &= _news.c.published_at >= since
        rows = sa.select(_news.c.document).where(wanted).order_by(_news.c.published_at.desc(), _news.c.number.desc())
        return self._found(sa.select(sa.func.count()).select_from(_news).where(wanted), rows, 0, most)

    def _found(self, count: sa.Select[Any], rows: sa.Select[Any], skip: int, most: int) -> Found:
        with self._reading() as connection:
            total = connection.execute(count).scalar_one()
            return Found(total, [row.document for row in connection.execute(rows.offset(skip).limit(most))])

    def mark(self, name: str) -> datetime | None:
        with self._reading() as connection:
            return connection.execute(sa.select(_marks.c.at).where(_marks.c.name == name)).scalar_one_or_none()

    def set_mark(self, name: str, at: datetime) -> None:
        """Raises StoreError: the catalog did not take it."""
        with self._writing() as connection:
            if connection.execute(sa.update(_marks).where(_marks.c.name == name).values(at=at)).rowcount == 0:
                connection.execute(sa.insert(_marks).values(name=name, at=at))

    def put_companies(self, companies: Sequence[Company]) -> None:
        """Replace all.

        Raises:
            StoreError: the catalog did not take them; then the old ones stand.
        """
        rows = {company.symbol: msgspec.structs.asdict(company) for company in companies}
        with self._writing() as connection:
            connection.execute(sa.delete(_companies))
            connection.execute(sa.insert(_companies), list(rows.values()))

    def companies(self) -> list[Company]:
        with self._reading() as connection:
            return [Company(row.cik, row.symbol, row.name) for row in connection.execute(sa.select(_companies))]

    def cik_of(self, symbol: str) -> str | None:
        with self._reading() as connection:
            return connection.execute(sa.select(_companies.c.cik).where(_companies.c.symbol == symbol)).scalar_one_or_none()

    def forget_before(self, instant: datetime) -> int:
        """Drop filings accepted and news published earlier; how many.

        Raises:
            StoreError: the catalog did not take it; then nothing is dropped.
        """
        with self._writing() as connection:
            old_filings = sa.select(_filings.c.accession).where(_filings.c.accepted_at < instant)
            old_news = sa.select(_news.c.id).where(_news.c.published_at < instant)
            connection.execute(sa.delete(_filers).where(_filers.c.accession.in_(old_filings)))
            connection.execute(sa.delete(_news_tickers).where(_news_tickers.c.id.in_(old_news)))
            filings = connection.execute(sa.delete(_filings).where(_filings.c.accepted_at < instant)).rowcount
            return filings + connection.execute(sa.delete(_news).where(_news.c.published_at < instant)).rowcount


def _add_filing(connection: sa.Connection, filing: Filing, told_since: datetime) -> bool:
    mine = _filings.c.accession == filing.accession
    document = connection.execute(sa.select(_filings.c.document).where(mine)).scalar_one_or_none()
    if document is None:
        fields = {name: getattr(filing, name) for name in ("accession", "form", "filed", "accepted_at")}
        fields |= {"told": filing.accepted_at >= told_since, "document": msgspec.json.encode(filing)}
        connection.execute(sa.insert(_filings).values(**fields))
        _add_filers(connection, filing.accession, {filer.cik for filer in filing.filers})
        return True
    known = _filing.decode(document)
    named = {filer.cik for filer in known.filers}
    more = tuple(filer for filer in filing.filers if filer.cik not in named)
    if more:
        tickers = tuple(dict.fromkeys(known.tickers + filing.tickers))
        whole = msgspec.structs.replace(known, filers=known.filers + more, tickers=tickers)
        connection.execute(sa.update(_filings).where(mine).values(document=msgspec.json.encode(whole)))
        _add_filers(connection, filing.accession, {filer.cik for filer in more})
    return False


def _add_filers(connection: sa.Connection, accession: str, ciks: Iterable[str]) -> None:
    connection.execute(sa.insert(_filers), [{"cik": cik, "accession": accession} for cik in sorted(ciks)])


def _add_article(connection: sa.Connection, article: Article, told_since: datetime) -> bool:
    if connection.execute(sa.select(_news.c.number).where(_news.c.id == article.id)).first() is not None:
        return False
    fields = {"id": article.id, "published_at": article.published_at, "told": article.published_at >= told_since}
    connection.execute(sa.insert(_news).values(**fields, document=msgspec.json.encode(article)))
    for symbol in dict.fromkeys(article.tickers):
        connection.execute(sa.insert(_news_tickers).values(symbol=symbol, id=article.id))
    return True
