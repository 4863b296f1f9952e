"""Label selectors over labels exported by kube-state-metrics: keys are either original or Prometheus label names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from concertmaster.core.model import LabelRequirement
from concertmaster.engines.common.manifest import Problems, mapping, sequence, text
from concertmaster.engines.common.names import pod_label

_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def label_value(labels: Mapping[str, str], key: str) -> str | None:
    """Value of the label ``key``; None if missing. An exported label with an empty value counts as missing, because
    kube-state-metrics exports every key of its allow-list for every pod."""
    return labels.get(key) or labels.get(pod_label(key)) or None


def matches(selector: Sequence[LabelRequirement], labels: Mapping[str, str]) -> bool:
    """Whether ``labels`` satisfy all requirements. An empty selector matches everything."""
    return all(term.met_by(label_value(labels, term.key)) for term in selector)


def read_selector(raw: object, where: str, problems: Problems) -> tuple[LabelRequirement, ...]:
    """The requirements of a Kubernetes label selector (``matchLabels``, ``matchExpressions``)."""
    spec = mapping(raw, where, problems)
    out: list[LabelRequirement] = []
    equal = mapping(spec.get("matchLabels"), f"{where}.matchLabels", problems)
    out += [LabelRequirement(k, "In", (str(v),)) for k, v in sorted(equal.items())]
    for i, row_raw in enumerate(sequence(spec.get("matchExpressions"), f"{where}.matchExpressions", problems)):
        here = f"{where}.matchExpressions[{i}]"
        row: Mapping[str, Any] = mapping(row_raw, here, problems)
        key, operator = text(row.get("key"), f"{here}.key", problems), row.get("operator")
        values = tuple(str(v) for v in sequence(row.get("values"), f"{here}.values", problems))
        if key is None or operator not in _OPERATORS:
            problems.add(f"{here} needs a key and one of the operators {', '.join(_OPERATORS)}: the term is ignored")
            continue
        out.append(LabelRequirement(key, str(operator), values))
    return tuple(out)
