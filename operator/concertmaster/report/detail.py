"""The full analysis of one workflow, as the operator serves it: all recommendations with their evidence, figures and
patches, where the status has room for five in short. Bounded, as everything that is served."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from concertmaster.core.lifecycle.history import RecommendationHistory
from concertmaster.report.view import View

MAX_BYTES = 256 * 1024
STEPS = 50


def document(view: View, profile: str, memory: RecommendationHistory | None = None, recent: View | None = None) -> View:
    """The document served about a profile, from the view of its analysis. The steps with the largest drag stay.
    ``memory`` has the state of each recommendation; one that it does not know is applied already and left out.
    ``recent``: the newest runs (see ``runs.served``); None: ``with_recent`` adds them when somebody asks."""
    made = _document(view, profile, memory, recent)
    _fit(made, encode(made))
    return made


def encoded(view: View, profile: str, memory: RecommendationHistory, recent: View | None) -> bytes:
    """``document`` as it is sent."""
    made = _document(view, profile, memory, recent)
    return _fit(made, encode(made))


def with_recent(detail: View, recent: View) -> bytes:
    """A document without the newest runs, completed by them, as it is sent."""
    made = {**detail, "recent": dict(recent)}
    return _fit(made, encode(made))


def _document(view: View, profile: str, memory: RecommendationHistory | None, recent: View | None) -> View:
    steps = sorted(view["steps"], key=lambda s: -(s["dragSeconds"] or 0.0))
    return {
        **view,
        "profile": profile,
        "recommendations": list(view["recommendations"])
        if memory is None
        else _described(view["recommendations"], memory),
        "minor": list(view["minor"]),
        "steps": steps[:STEPS],
        "recent": dict(recent) if recent is not None else None,
        "moreRecommendations": 0,
        "moreSteps": max(0, len(steps) - STEPS),
    }


def _fit(detail: View, body: bytes) -> bytes:
    """Cut a document to size; ``body`` is how it is sent, and what is returned how it is sent then."""
    if len(body) <= MAX_BYTES:
        return body
    while detail["recent"] and detail["recent"]["runs"] and len(encode(detail)) > MAX_BYTES:
        detail["recent"] = {**detail["recent"], "runs": detail["recent"]["runs"][:-1]}
    while detail["minor"] and len(encode(detail)) > MAX_BYTES:
        detail["minor"].pop()
    for part, count in (("steps", "moreSteps"), ("recommendations", "moreRecommendations")):
        while detail[part] and len(encode(detail)) > MAX_BYTES:
            gone = max(1, len(detail[part]) // 4)
            del detail[part][-gone:]
            detail[count] += gone
    return encode(detail)


def _described(items: Sequence[View], memory: RecommendationHistory) -> list[View]:
    known = {s.id: s for s in memory.tracked}
    views = []
    for item in items:
        if (tracked := known.get(item["id"])) is not None:
            more = {"dismissal": tracked.dismissal, "note": tracked.note}
            views.append({**item, "state": tracked.state.value, **{k: v for k, v in more.items() if v}})
    return views


def encode(detail: View) -> bytes:
    """The document as it is sent."""
    return msgspec.json.encode(detail, enc_hook=float)  # NumPy's floats are the only other values
