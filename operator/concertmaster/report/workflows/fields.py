"""Fields of profiles and changes as the API server has them. Statuses are text for people and may have been edited by
hand: a value that cannot be parsed is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from concertmaster.core.model.enums import Verdict
from concertmaster.core.times import parse_duration, parse_time
from concertmaster.report import impact as impacts

Raw = Mapping[str, Any]


def seconds_of(shown: object) -> float | None:
    """``21m04s`` in seconds; None for anything else."""
    return parse_duration(shown) if isinstance(shown, str) else None


def full_name(profile: Raw) -> tuple[str, str]:
    """Its namespace and name."""
    meta = mapping(profile, "metadata")
    return str(meta.get("namespace") or ""), str(meta.get("name") or "")


def named(profile: Raw) -> dict[str, Any]:
    """The fields by which a row names its profile and workflow."""
    namespace, name = full_name(profile)
    return {"namespace": namespace, "profile": name, "workflow": workflow_name(profile)}


def changed_profile(change: Raw) -> tuple[str, str]:
    """Namespace and name of the profile that a WorkflowChange is of."""
    reference = mapping(mapping(change, "spec"), "profileRef")
    return full_name(change)[0], str(reference.get("name") or "")


def workflow_name(profile: Raw) -> str | None:
    """Its workflow's own name, as analysed or as its profile refers to it."""
    target = str(mapping(mapping(profile, "status"), "summary").get("target") or "").partition("/")[2]
    ref = mapping(mapping(profile, "spec"), "workflowRef")
    return target or (str(ref["name"]) if ref.get("name") else None)


def workflow_kind(profile: Raw) -> str | None:
    """The kind of its workflow, as analyzed or as its profile refers to it."""
    kind = str(mapping(mapping(profile, "status"), "summary").get("target") or "").partition("/")[0]
    return kind or text_of(mapping(mapping(profile, "spec"), "workflowRef").get("kind"))


def condition(raw: Raw, kind: str) -> bool | None:
    """Whether a condition is True or False; None when it is Unknown or absent."""
    for item in entries(mapping(raw, "status"), "conditions"):
        if item.get("type") == kind:
            return {"True": True, "False": False}.get(str(item.get("status")))
    return None


def ready_reason(profile: Raw) -> str | None:
    """The reason of its condition Ready."""
    conditions = entries(mapping(profile, "status"), "conditions")
    return next((text_of(c.get("reason")) for c in conditions if c.get("type") == "Ready"), None)


def recommendations(profile: Raw) -> list[Raw]:
    """The recommendations of its status: those described in full, then those in short."""
    status = mapping(profile, "status")
    return [i for i in (*entries(status, "recommendations"), *entries(status, "remaining")) if i.get("id")]


def currency(profile: Raw) -> str | None:
    """The currency of its amounts; of a status of an older version the one that its recommendations name."""
    if (known := text_of(mapping(mapping(profile, "status"), "summary").get("currency"))) is not None:
        return known
    return next((code for i in recommendations(profile) if (code := impacts.currency(i.get("impact")))), None)


def moment(value: object) -> float | None:
    """A time of a status in unix seconds."""
    try:
        return parse_time(value) if isinstance(value, str) else None
    except ValueError:
        return None


def verdict_of(value: object) -> Verdict | None:
    """The verdict of that name."""
    return Verdict(value) if isinstance(value, str) and value in set(Verdict) else None


def mapping(raw: Raw, key: str) -> Raw:
    """An object of a status; empty for anything else."""
    value = raw.get(key)
    return value if isinstance(value, Mapping) else {}


def entries(raw: Raw, key: str) -> list[Raw]:
    """The objects of a list; others are left out."""
    value = raw.get(key)
    return [i for i in value if isinstance(i, Mapping)] if isinstance(value, list | tuple) else []


def number(value: object) -> float | None:
    """A number, also as text."""
    try:
        return float(str(value)) if value is not None else None
    except ValueError:
        return None


def integer(value: object) -> int | None:
    """A whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def text_of(value: object) -> str | None:
    """A text; None for none."""
    return str(value) if value not in (None, "") else None
