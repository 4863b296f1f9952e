"""What is kept of a status."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgspec

from concertmaster.core.fleet.ranking import Headline
from concertmaster.core.lifecycle.history import RecommendationHistory
from concertmaster.core.times import parse_time
from concertmaster.kube.objects import ObjectRef, plain
from concertmaster.kube.writer import fingerprint, semantic
from concertmaster.report.status import recommendation_log as memory
from concertmaster.report.workflows.top import headlines, minor_count

_FRAME = frozenset({"conditions", "observedGeneration", "running"})
_RULE = re.compile(r" \(([a-z-]+)\)$")


@dataclass(frozen=True, slots=True)
class StatusView:
    """The part of a status that is kept: enough to decide whether a new one differs and which transitions it makes."""

    digest: str | None = None
    body: str | None = None  # the same without _FRAME: what the last analysis said
    conditions: tuple[Mapping[str, Any], ...] = ()
    recommendations: tuple[str, ...] = ()  # that are Active
    data_until: float | None = None  # unix seconds; 0.0 for what is no time: it is written anew
    phase: str | None = None  # of a change
    outcomes: tuple[Mapping[str, Any], ...] = ()  # of recommendations that were implemented
    noted: tuple[str, ...] = ()  # rules whose observations are among the insights
    headlines: tuple[Headline, ...] = ()  # Active recommendations, to be ranked across profiles
    minor: int = 0
    running: tuple[Mapping[str, Any], ...] = ()  # runs in progress
    packed: bytes | None = None  # what it remembers of earlier recommendations, compressed
    document: bytes = field(default=b"", compare=False)  # a fingerprint of the whole as it stands, timestamps included

    @property
    def ready(self) -> str:
        """Its condition Ready."""
        return next((str(c.get("status")) for c in self.conditions if c.get("type") == "Ready"), "Unknown")

    @property
    def memory(self) -> RecommendationHistory:
        """The states of earlier recommendations in the status."""
        return memory.unpacked(self.packed) if self.packed is not None else RecommendationHistory()

    @classmethod
    def of(cls, status: Mapping[str, Any] | None, ref: ObjectRef | None = None) -> StatusView:
        """The view of a status document; an absent one has no digest. ``ref``: the profile it belongs to."""
        status = plain(status or {})
        said = semantic(status)
        listed = [r for r in status.get("recommendations") or () if isinstance(r, Mapping) and r.get("id")]
        return cls(
            digest=fingerprint(said) if status else None,
            body=fingerprint({k: v for k, v in said.items() if k not in _FRAME}) if set(status) - _FRAME else None,
            conditions=tuple(dict(c) for c in status.get("conditions") or () if isinstance(c, Mapping)),
            recommendations=tuple(str(r["id"]) for r in listed if r.get("state", "Active") == "Active"),
            data_until=_moment(status.get("dataUntil")),
            phase=status.get("phase"),
            outcomes=tuple(dict(o) for o in status.get("results") or () if isinstance(o, Mapping)),
            packed=memory.packed(status),
            document=as_it_stands(status),
            running=tuple(dict(r) for r in status.get("running") or () if isinstance(r, Mapping)),
            noted=tuple(match[1] for i in status.get("insights") or () if (match := _RULE.search(str(i)))),
            headlines=tuple(headlines({"metadata": {"namespace": ref.namespace, "name": ref.name}, "status": status}))
            if ref is not None
            else (),
            minor=minor_count([{"status": status}]),
        )


def _moment(text: Any) -> float | None:
    """Unix seconds of a time in a status, which whoever may write there has made of anything: 0.0 for no time."""
    try:
        return parse_time(str(text)) if text else None
    except ValueError:
        return 0.0


def as_it_stands(status: Mapping[str, Any]) -> bytes:
    """A fingerprint of a status document as a whole."""
    return blake2b(msgspec.json.encode(status), digest_size=12).digest()
