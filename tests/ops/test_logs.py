import json
import logging
import sys

import structlog

from tradeul.ops import logs


def test_events_are_json_lines_and_keys_are_blanked(tmp_path, capsys):
    before = logging.getLogger().handlers[:]
    try:
        logs.configure(tmp_path, terminal=False)
        structlog.get_logger().info("asked", vendor_key="hidden", symbol="A")
        line = json.loads((tmp_path / "tradeul.jsonl").read_text())
    finally:
        for handler in logging.getLogger().handlers:
            handler.close()
        logging.basicConfig(handlers=before or [logging.StreamHandler(sys.stderr)], force=True)
        structlog.reset_defaults()
    assert (line["event"], line["symbol"], line["vendor_key"], line["level"]) == ("asked", "A", "***", "info")
