"""Log lines: one JSON object each, without what looks like a credential, because texts of other libraries end up in them."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

from concertmaster.core.times import utc
from concertmaster.net.http_logging import silence_urllib3

# Texts of others stand in log lines, so each pattern takes time in proportion to the text: one that may begin anywhere
# within a run of characters it accepts would read the rest of the run from each of its places.
_SECRETS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), r"\1 ***"),
    (
        re.compile(r"(?i)(token|password|passwd|secret|api[_-]?key|authorization)(\"?\s*[=:]\s*\"?)[^\s\"',;&]+"),
        r"\1\2***",
    ),
    (re.compile(r"(?i)(?<![a-z0-9+.-])([a-z0-9+.-]++://)[^\s/@:]+:[^\s/@]+@"), r"\1***@"),
    (re.compile(r"(?<![\w-])((?:(?!eyJ)[\w-])*+)eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), r"\1***"),
)


def redact(text: str) -> str:
    """``text`` without what looks like a credential: tokens, passwords, user parts of URLs, JSON web tokens."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _redacted(value: Any) -> Any:
    """The same for everything inside ``value``."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {k: _redacted(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(v) for v in value]
    return value


class JsonFormatter(logging.Formatter):
    """One JSON object per line with stable keys: ts, level, logger, msg, then what the caller put into ``fields``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "ts": utc(record.created).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": redact(record.getMessage()),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, Mapping):
            line.update({k: _redacted(v) for k, v in fields.items()})
        if record.exc_info:
            line["error"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logging(level: str = "INFO") -> None:
    """Send all log lines through the JSON formatter; kopf's only from WARNING on, urllib3's not at all."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("kopf", "aiohttp", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    silence_urllib3()
