"""Texts of a metrics source, cleaned before they are shown to people.

Errors and warnings of a store end up in conditions, Events and logs that many may read. A gateway that echoes the request
would publish the credentials, and control characters would reach the terminal of whoever reads on. Data is not touched:
masking a short password in label values would corrupt them.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from urllib.parse import quote, quote_plus

from concertmaster.prometheus.client.response import Envelope

MASK = "***"
# C0 and C1 controls, line and paragraph separators, and marks that turn the direction of text.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")


def secrets(headers: Mapping[str, str], credentials: Iterable[str]) -> tuple[str, ...]:
    """Texts to mask: values of the headers named in ``credentials``, and what they are made of; longest first."""
    texts: set[str] = set()
    for name in credentials:
        value = headers.get(name, "")
        scheme, _, rest = value.partition(" ")
        bare = rest if rest and scheme in ("Bearer", "Basic") else value
        parts = {bare}
        if scheme == "Basic":
            try:
                pair = base64.b64decode(bare, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                pair = ""
            parts |= {pair, pair.partition(":")[2]}
        for part in parts:
            texts |= {part, quote(part), quote(part, safe=""), quote_plus(part)}
    return tuple(sorted(texts - {""}, key=lambda text: (-len(text), text)))


def text(message: str, hidden: Iterable[str]) -> str:
    """``message`` on one line, without control characters and without any of ``hidden``."""
    for secret in hidden:
        message = message.replace(secret, MASK)
    return " ".join(_INVISIBLE.sub(" ", message).split())


def envelope(answer: Envelope, hidden: tuple[str, ...]) -> Envelope:
    """The answer with all texts for people cleaned in the same way."""
    if not (answer.error or answer.error_type or answer.warnings):
        return answer
    return replace(
        answer,
        error=text(answer.error, hidden),
        error_type=text(answer.error_type, hidden),
        warnings=tuple(text(w, hidden) for w in answer.warnings),
    )
