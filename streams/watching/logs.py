"""Log records in, lines on stderr out: text for a person or, with PRECEDENT_LOG=json, one JSON object a line.

What a message is about travels as fields, by `extra=`: `log.error("…", extra={"video_id": …})`. A person's text stays
as it is; the JSON line has each field, beside what holds for the whole part: its name, the release that judges.
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from contracts.errors import BadInputError

VARIABLE = "PRECEDENT_LOG"
TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
"""What every record has; all else came by `extra=`."""

Fields = Mapping[str, object]


class LogContext:
    """What holds for every line of a part: its name and, once there is something to know it by, what it judges by."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._now: Callable[[], Fields] = dict

    def follow(self, now: Callable[[], Fields]) -> None:
        """Ask `now` with every line: a release changes while the part runs."""
        self._now = now

    def fields(self) -> dict[str, object]:
        return {"part": self._part, **self._now()}


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, the part's context, the record's own fields."""

    def __init__(self, context: LogContext) -> None:
        super().__init__()
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **self._context.fields(),
        }
        line |= {name: value for name, value in record.__dict__.items() if name not in _OWN and name not in line}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return json.dumps(line, default=str, ensure_ascii=True)


def log_to_stderr(part: str, environ: Mapping[str, str], *, level: int = logging.WARNING) -> LogContext:
    """Write records of `level` and worse to stderr; stdout is for the ready line."""
    form = environ.get(VARIABLE, "").strip() or "text"
    if form not in {"text", "json"}:
        raise BadInputError(f"{VARIABLE} == {form!r}, must be text or json")
    context = LogContext(part)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(context) if form == "json" else logging.Formatter(TEXT))
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # what it retries is told by who asked
    return context
