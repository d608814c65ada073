"""Logging: JSON lines to ``STATE/logs``, rotated; on stderr JSON lines too, or words on a terminal.

Log with ``structlog.get_logger()`` and an event name. Keys are never logged:
a value under a name that sounds like one is blanked here, whoever logs it.
"""

import logging
import logging.handlers
import sys
from pathlib import Path

import structlog
from structlog.typing import EventDict, WrappedLogger

SECRET_NAMES = ("key", "secret", "token", "password", "authorization")
FILE_BYTES = 20_000_000
FILES_KEPT = 5


def blank_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: "***" if any(part in name.lower() for part in SECRET_NAMES) else value for name, value in event.items()}


def configure(folder: Path | None, *, terminal: bool, name: str = "tradeul") -> None:
    """Send all logging of this process to ``folder`` (None: nowhere), under ``name``, and to stderr; on a terminal only warnings."""
    before: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        blank_secrets,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    lines = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ],
    )
    words = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.dev.ConsoleRenderer(pad_event_to=0)],
    )
    handlers: list[logging.Handler] = []
    screen = logging.StreamHandler(sys.stderr)
    screen.setFormatter(words if terminal else lines)
    screen.setLevel(logging.WARNING if terminal else logging.INFO)
    handlers.append(screen)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        file = logging.handlers.RotatingFileHandler(folder / f"{name}.jsonl", maxBytes=FILE_BYTES, backupCount=FILES_KEPT)
        file.setFormatter(lines)
        handlers.append(file)
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
    for chatty in ("aiohttp.access", "uvicorn.access", "alembic", "alembic.runtime"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
