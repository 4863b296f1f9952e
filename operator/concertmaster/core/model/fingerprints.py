"""Fingerprints of definitions as objects of ours keep them: with the edition of the rules that made them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FINGERPRINT_EDITION = 2
"""Counted up whenever a definition gets another fingerprint from the same objects, so that no workflow counts as edited
because the operator was upgraded."""


def stored_fingerprint(fingerprint: str) -> dict[str, Any]:
    """The fields that keep a fingerprint made now."""
    return {"fingerprint": fingerprint, "fingerprintEdition": FINGERPRINT_EDITION}


def known_fingerprint(stored: Mapping[str, Any]) -> str | None:
    """The fingerprint in ``stored`` fields; None without one, or where another edition made it."""
    made = stored.get("fingerprint") if stored.get("fingerprintEdition") == FINGERPRINT_EDITION else None
    return str(made) if made else None
