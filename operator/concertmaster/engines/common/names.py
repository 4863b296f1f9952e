"""Names that Kubernetes and the engines give to runs, pods and labels, read backwards.

History keeps nothing but names: once the objects are gone, a pod's name is the only witness of the step it ran. The
functions here know how those names are made (read in the sources of Argo Workflows 3.7, Kubernetes 1.35 and
kube-state-metrics 2.19) and undo it exactly where that is possible.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_OFFSET = 0x811C9DC5
_PRIME = 16777619
_MASK = 0xFFFFFFFF
_INVERSE = pow(_PRIME, -1, 1 << 32)  # the prime is odd, so one FNV-1a step can be undone

# Kubernetes' generateName appends five of these (apimachinery/pkg/util/rand).
_GENERATED = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{5}$")
_SCHEDULED = re.compile(r"-(\d{8,11})$")  # CronJob: unix minutes, CronWorkflow: unix seconds
_TRAILING_HASH = re.compile(r"-(\d{1,10})$")
_INVALID_LABEL = re.compile(r"[^a-zA-Z0-9_]")
_HUMP = re.compile(r"([a-z0-9])([A-Z])")

_MAX_ARGO_PREFIX = 242  # Argo cuts "<run>-<template>" here, so that the pod name keeps within 253 characters


def fnv32a(text: str, state: int = _OFFSET) -> int:
    """32-bit FNV-1a hash of ``text``; ``state`` continues the hash of an earlier part."""
    for byte in text.encode("utf-8", "surrogatepass"):
        state = ((state ^ byte) * _PRIME) & _MASK
    return state


def fnv32a_before(state: int, suffix: str) -> int:
    """The hash as it was before ``suffix`` was appended: ``fnv32a(suffix, fnv32a_before(h, suffix)) == h``.

    Two attempts of one fan-out item differ in their last characters only, so this links them even when nobody knows
    the item itself.
    """
    for byte in reversed(suffix.encode("utf-8", "surrogatepass")):
        state = ((state * _INVERSE) & _MASK) ^ byte
    return state


@dataclass(frozen=True, slots=True)
class ArgoPodName:
    """Parts of an Argo pod name. ``root``: the pod of the run's root node, which carries the run's name.
    ``template`` is None in the first naming version (and for inline templates); ``cut`` when it was truncated."""

    template: str | None = None
    hash: int | None = None
    root: bool = False
    cut: bool = False

    def may_be(self, template: str) -> bool:
        """Whether this pod can belong to ``template``."""
        if self.template is None:
            return True
        return template.startswith(self.template) if self.cut else template == self.template


def argo_pod_name_of(run: str, node: str, template: str | None) -> str:
    """Name of the pod of a node; without ``template`` in the first naming version (also that of inline templates)."""
    if node == run:
        return run
    prefix = f"{run}-{template}" if template else run
    return f"{prefix[:_MAX_ARGO_PREFIX]}-{fnv32a(node)}"


def argo_pod_name(run: str, pod: str) -> ArgoPodName | None:
    """Read ``<run>[-<template>]-<hash>``; None when the pod is not named after the run in any known way."""
    if pod == run:
        return ArgoPodName(root=True)
    match = _TRAILING_HASH.search(pod)
    if match is None or int(match.group(1)) > _MASK:
        return None
    prefix, number = pod[: match.start()], int(match.group(1))
    if prefix == run[:_MAX_ARGO_PREFIX]:
        return ArgoPodName(hash=number)
    if not prefix.startswith(f"{run}-"):
        return None
    return ArgoPodName(prefix[len(run) + 1 :], number, cut=len(prefix) == _MAX_ARGO_PREFIX)


def generated_base(name: str) -> str | None:
    """``name`` without the five characters of generateName, or None when it does not end like that."""
    match = _GENERATED.search(name)
    return name[: match.start()] if match and match.start() else None


def scheduled_base(name: str) -> str | None:
    """``name`` without the time that a CronJob (minutes) or CronWorkflow (seconds) appends, or None."""
    match = _SCHEDULED.search(name)
    return name[: match.start()] if match and match.start() else None


def belongs_to(name: str, prefixes: tuple[str, ...]) -> str | None:
    """The longest of ``prefixes`` that ``name`` is, or continues after a hyphen; None when there is none.

    A prefix that ends in a hyphen, as people write generateName, matches as it stands.
    """
    hits = [p for p in prefixes if p and (name == p or name.startswith(p if p.endswith("-") else f"{p}-"))]
    return max(hits, key=len, default=None)


def pod_label(key: str) -> str:
    """A Kubernetes label key as kube-state-metrics writes it after ``label_``: ``tekton.dev/pipelineRun`` becomes
    ``tekton_dev_pipeline_run`` (internal/store/utils.go)."""
    return _HUMP.sub(r"\1_\2", _INVALID_LABEL.sub("_", key)).lower()
