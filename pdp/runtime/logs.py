"""Logs as one JSON object a line, so that nothing in a value can forge another line."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import TextIO


class JsonFormatter(logging.Formatter):
    """Time, level, logger and message, with the `facts` of a record beside them."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; whatever is not ASCII or printable is escaped."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line, default=str)


def facts_of(error: BaseException) -> dict[str, object]:
    """What may be logged of a fault: its kind and its places. Its message may quote a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return {"error": type(error).__name__, "at": where}


def configure_logging(stream: TextIO = sys.stderr, level: int = logging.INFO) -> None:
    """Send everything that is logged to `stream`, in this format and no other."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # What aiohttp says of a request it cannot read quotes the line, which may be a credential.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
