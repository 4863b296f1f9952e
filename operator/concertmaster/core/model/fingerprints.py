"""Fingerprints of definitions as objects of ours keep them: with the edition of the rules that made them, in one field, as a
CustomResourceDefinition of an earlier version drops a field that it does not know."""

from __future__ import annotations

FINGERPRINT_EDITION = 2
"""Counted up whenever a definition gets another fingerprint from the same objects, so that no workflow counts as edited
because the operator was upgraded."""


def stored_fingerprint(fingerprint: str) -> str:
    """What a field keeps of a fingerprint made now: ``2-9f2c41d07be3``."""
    return f"{FINGERPRINT_EDITION}-{fingerprint}"


def known_fingerprint(stored: object) -> str | None:
    """The fingerprint that a field keeps; None without one, or where another edition made it."""
    edition, _, made = str(stored or "").partition("-")
    return made if made and edition == str(FINGERPRINT_EDITION) else None
