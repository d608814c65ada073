"""The child process in which a person's SQL over the lake runs: views, limits, one SELECT. Started by `lake_sql.py`.

    stdin   one JSON object (`Asked`)
    stdout  the rows, a JSON object a line
    stderr  one sentence, if it failed; exit code 1: refused or wrong, 2: a limit

Four fences, each for itself enough for most abuse:

    statement   exactly one SELECT; it reads our views and a few harmless table functions (`refusal`)
    DuckDB      no files but the lake's and those made for the question, no network, no extensions, its settings locked, bounded
                memory, nothing spilled to disk
    process     may not write a byte to any file, bounded memory and processor time, an empty environment
    parent      ends it when it takes too long

A person at this machine may read the lake's files anyway: the fences are for
statements copied from elsewhere, and for mistakes.
"""

import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import duckdb
import msgspec

THREADS = 2
MOST_CHARACTERS = 20_000
ROWS_AT_ONCE = 1_000
REFUSED, LIMITED = 1, 2

TENURE = "symbol VARCHAR, name VARCHAR, kind VARCHAR, exchange VARCHAR, cik VARCHAR, list_date DATE, figi VARCHAR, since DATE, until DATE"
# Who is listed, and who was: one dataset. One that knows of no ends lists all of its rows.
ROWS = {"tickers": "until IS NULL", "gone": "until IS NOT NULL"}
# view -> (dataset, columns of an empty one). `session` comes from the folder's name.
VIEWS = {
    "bars": (
        "ohlc_daily",
        "symbol VARCHAR, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE, vwap DOUBLE, trades BIGINT",
    ),
    "minute_bars": (
        "minute_bars",
        "symbol VARCHAR, start_at TIMESTAMPTZ, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE, vwap DOUBLE, "
        "trades INTEGER",
    ),
    "slots": ("volume_slots", "symbol VARCHAR, slot SMALLINT, volume DOUBLE, trades INTEGER, vwap DOUBLE"),
    "baselines": ("baselines", "symbol VARCHAR, name VARCHAR, kind VARCHAR, atr DOUBLE, cumulative DOUBLE[192]"),
    "tickers": ("tickers", TENURE),
    "gone": ("tickers", TENURE),
    "splits": ("splits", "symbol VARCHAR, effective DATE, split_from DOUBLE, split_to DOUBLE"),
    "metadata": (
        "metadata_enrich",
        "symbol VARCHAR, shares DOUBLE, sic_code VARCHAR, industry VARCHAR, details_on DATE, free_float DOUBLE, float_on DATE, "
        "short_interest DOUBLE, short_on DATE",
    ),
    "membership": ("membership", 'time TIMESTAMPTZ, list VARCHAR, symbol VARCHAR, event VARCHAR, rank INTEGER, "row" VARCHAR'),
}
# Those of the catalog, as files beside the lake (`filings_files.py`).
VIEWS_ASIDE = {
    "filings": "accession VARCHAR, form VARCHAR, words VARCHAR, amends BOOLEAN, dilutes BOOLEAN, filed DATE, accepted_at TIMESTAMPTZ, "
    "seen_at TIMESTAMPTZ, tickers VARCHAR[], ciks VARCHAR[], filers VARCHAR[], items VARCHAR[], url VARCHAR",
    "news": "id VARCHAR, published_at TIMESTAMPTZ, seen_at TIMESTAMPTZ, headline VARCHAR, tickers VARCHAR[], publisher VARCHAR, "
    "url VARCHAR",
}
LEDGER = (
    "dataset VARCHAR, session DATE, state VARCHAR, attempts INTEGER, expected BIGINT, got BIGINT, missing VARCHAR, checksum VARCHAR, "
    "started_at TIMESTAMPTZ, finished_at TIMESTAMPTZ, error VARCHAR, code_version VARCHAR"
)
NAMES = (*VIEWS, *VIEWS_ASIDE, "ledger")
# The parts that a statement may be made of, as DuckDB names them. Anything else is refused: a later version's new ways too.
# `WITH x AS (COPY ...)` is a SELECT to it.
PARTS = frozenset(
    {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE", "BASE_TABLE", "TABLE_FUNCTION", "SHOW_REF", "SUBQUERY", "JOIN"}
    | {"EMPTY", "EXPRESSION_LIST", "ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER"}
    | {"ORDER_DEFAULT", "ASCENDING", "DESCENDING"}
)
TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest"})
# They wait, keep something, or tell of the process instead of the lake.
FUNCTIONS_REFUSED = frozenset(
    {"current_setting", "getvariable", "setval", "nextval", "currval", "setseed", "write_log", "pg_sleep", "sleep_ms", "current_query"}
)


class Asked(msgspec.Struct, frozen=True):
    lake: str
    statement: str
    ledger: list[tuple[Any, ...]]  # rows of `LEDGER`
    memory_bytes: int
    processor_seconds: int
    aside: str | None = None  # the folder with the files of `VIEWS_ASIDE`
    files: dict[str, list[str]] | None = None  # below ``lake``, by dataset; None: its partitions are a folder's


def main() -> None:
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    connection = duckdb.connect(":memory:")
    open_views(connection, asked)
    limit_process(asked)
    try:
        why = refusal(connection, asked.statement)
        if why is not None:
            leave(why, REFUSED)
        for line in lines(connection.execute(asked.statement)):
            sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        leave(f"It needs more than {asked.memory_bytes >> 20:,} MB of memory: {first_line(error)}", LIMITED)
    except duckdb.Error as error:
        leave(first_line(error), REFUSED)
    except BrokenPipeError:
        pass  # who asked has seen enough
    os._exit(0)  # a query that is left half-read must not be waited for


def leave(sentence: str, code: int) -> NoReturn:
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()
    os._exit(code)


def open_views(connection: duckdb.DuckDBPyConnection, asked: Asked) -> None:
    """The views, then the locks: nothing after them can be undone by a statement."""
    connection.execute("SET TimeZone = 'UTC'")
    for view, (dataset, columns) in VIEWS.items():
        files = found(Path(asked.lake) / dataset, "session=*/part.parquet") if asked.files is None else asked.files.get(dataset, [])
        hidden = "* EXCLUDE (_session, _complete, _rvol_sessions)" if view == "baselines" else "*"
        options = ", hive_partitioning = true, hive_types = {'session': DATE}, union_by_name = true"
        rows = ROWS.get(view)
        open_view(connection, view, files, f"{columns}, session DATE", hidden, options, rows)
    for view, columns in VIEWS_ASIDE.items():
        open_view(connection, view, found(Path(asked.aside or asked.lake) / view, "*.parquet"), columns)
    connection.execute(f"CREATE TABLE ledger ({LEDGER})")
    if asked.ledger:
        connection.executemany(f"INSERT INTO ledger VALUES ({', '.join('?' * len(asked.ledger[0]))})", asked.ledger)  # noqa: S608
    folders = ", ".join(quoted(folder) for folder in (asked.lake, asked.aside) if folder)
    for setting in (
        f"memory_limit = '{asked.memory_bytes}B'",
        f"threads = {THREADS}",
        "temp_directory = ''",
        "max_temp_directory_size = '0B'",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "allow_community_extensions = false",
        "python_enable_replacements = false",
        f"allowed_directories = [{folders}]",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")


def found(folder: Path, pattern: str) -> list[str]:
    """The pattern, if there are such files."""
    return [f"{folder}/{pattern}"] if any(folder.glob(pattern)) else []


def open_view(
    connection: duckdb.DuckDBPyConnection,
    view: str,
    files: list[str],
    columns: str,
    shown: str = "*",
    options: str = "",
    rows: str | None = None,
) -> None:
    """Over the files, or those of their ``rows``; while there are none, an empty table."""
    if not files:
        connection.execute(f"CREATE TABLE {view} ({columns})")
        return
    source = f"read_parquet([{', '.join(map(quoted, files))}]{options})"
    if rows is not None:  # a lake of an earlier version lacks the column that tells
        source = f"(SELECT {_nulls(columns)} WHERE false UNION ALL BY NAME FROM {source}) WHERE {rows}"  # noqa: S608
    connection.execute(f"CREATE VIEW {view} AS SELECT {shown} FROM {source}")  # noqa: S608 our own words


def _nulls(columns: str) -> str:
    return ", ".join(f"NULL::{kind} AS {name}" for name, kind in (column.split() for column in columns.split(", ")))


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def limit_process(asked: Asked) -> None:
    """After this, no file grows. Libraries are loaded by now."""
    sys.dont_write_bytecode = True
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if sys.platform == "linux" else 0
    limits = {resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0, resource.RLIMIT_CPU: asked.processor_seconds}
    if in_use:  # elsewhere it is not enforced, and only DuckDB's own bound holds
        limits[resource.RLIMIT_AS] = in_use + 2 * asked.memory_bytes
    for kind, most in limits.items():
        resource.setrlimit(kind, (most, most))


def refusal(connection: duckdb.DuckDBPyConnection, statement: str) -> str | None:
    """Why the statement is not run; None: it reads our views and nothing else."""
    if len(statement) > MOST_CHARACTERS:
        return f"The statement has {len(statement):,} characters; {MOST_CHARACTERS:,} are taken."
    try:
        statements = connection.extract_statements(statement)
        if len(statements) != 1 or statements[0].type is not duckdb.StatementType.SELECT:
            return "One SELECT is taken, and nothing else: the lake is for reading."
        row = connection.execute("SELECT json_serialize_sql(?)", [statement]).fetchone()
        tree: Any = msgspec.json.decode(row[0] if row else b"{}")
    except RecursionError:
        return "The statement is nested too deeply."
    if tree.get("error"):
        return f"One SELECT is taken, and nothing else: {tree.get('error_message', 'this is none')}"
    nodes = list(nodes_of(tree))
    named = {*NAMES} | {each["key"].lower() for node in nodes for each in (node.get("cte_map") or {}).get("map", ())}
    return next((why for node in nodes if (why := refusal_of(node, named))), None)


def refusal_of(node: dict[str, Any], named: set[str]) -> str | None:
    kind, views = node.get("type"), ", ".join(NAMES)
    if isinstance(kind, str) and "class" not in node and kind not in PARTS:
        return f"One SELECT is taken, and nothing else: {kind.lower()} is no part of one here."
    if kind == "BASE_TABLE":
        path = [str(part) for part in node["qualified_name"]["path"]]
        if len(path) != 1 or path[0].lower() not in named:
            return f"There is no view {'.'.join(path)[:60]!r}. The views: {views}."
    elif kind == "SHOW_REF" and node.get("query") is None and node.get("table_name") != '"tables"':
        return f"It can show the views only: {views}."
    elif kind == "TABLE_FUNCTION" and (name := node["function"]["function_name"].lower()) not in TABLE_FUNCTIONS:
        return f"The table function {name[:60]} is not taken: read the views {views}."
    elif node.get("class") == "FUNCTION" and (name := node["function_name"].lower()) in FUNCTIONS_REFUSED:
        return f"The function {name} is not taken."
    return None


def nodes_of(tree: Any) -> Iterator[dict[str, Any]]:
    left = [tree]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            yield each
            left += each.values()
        elif isinstance(each, list):
            left += each


def lines(result: duckdb.DuckDBPyConnection) -> Iterator[bytes]:
    encoder = msgspec.json.Encoder(enc_hook=str)
    names = unique([column[0] for column in result.description or ()])
    while rows := result.fetchmany(ROWS_AT_ONCE):
        yield encoder.encode_lines(dict(zip(names, row, strict=True)) for row in rows)


def unique(names: list[str]) -> list[str]:
    """JSON's names: a second one of the same is numbered."""
    found: list[str] = []
    for name in names:
        found.append(name if name not in found else next(new for n in range(2, 10_000) if (new := f"{name}_{n}") not in found))
    return found


def first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


if __name__ == "__main__":
    main()
