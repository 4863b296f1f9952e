"""Parsing of the names that Kubernetes and the engines generate for runs, pods and labels.

The history stores only names: once the objects are deleted, only a pod's name identifies the step it ran. The functions
here invert the naming schemes of Argo Workflows 3.7, Kubernetes 1.35 and kube-state-metrics 2.19 (read in their
sources), exactly where that is possible.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_OFFSET = 0x811C9DC5
_PRIME = 16777619
_MASK = 0xFFFFFFFF
_INVERSE = pow(_PRIME, -1, 1 << 32)  # the prime is odd, so a step of FNV-1a can be inverted

# generateName in Kubernetes appends five of these characters (apimachinery/pkg/util/rand).
_GENERATED = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{5}$")
_SCHEDULED = re.compile(r"-(\d{8,11})$")  # CronJob: unix minutes, CronWorkflow: unix seconds
_TRAILING_HASH = re.compile(r"-(\d{1,10})$")
_INVALID_LABEL = re.compile(r"[^a-zA-Z0-9_]")
_HUMP = re.compile(r"([a-z0-9])([A-Z])")

_MAX_ARGO_PREFIX = 242  # Argo truncates "<run>-<template>" here, so that pod names stay within 253 characters


def fnv32a(text: str, state: int = _OFFSET) -> int:
    """32-bit FNV-1a hash of ``text``; ``state`` continues the hash of an earlier part."""
    for byte in text.encode("utf-8", "surrogatepass"):
        state = ((state ^ byte) * _PRIME) & _MASK
    return state


def fnv32a_before(state: int, suffix: str) -> int:
    """The hash before ``suffix`` was appended: ``fnv32a(suffix, fnv32a_before(h, suffix)) == h``.

    The node names of two attempts of one fan-out item differ only in their suffix, so this links them even if the item
    itself is unknown.
    """
    for byte in reversed(suffix.encode("utf-8", "surrogatepass")):
        state = ((state * _INVERSE) & _MASK) ^ byte
    return state


@dataclass(frozen=True, slots=True)
class ArgoPodName:
    """Parts of an Argo pod name. ``root``: the pod of the run's root node, which has the run's name. ``template`` is
    None in the first naming version (and for inline templates); ``cut`` if it was truncated."""

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
    """Pod name of a node. Without ``template`` it follows the first naming version, which inline templates use too."""
    if node == run:
        return run
    prefix = f"{run}-{template}" if template else run
    return f"{prefix[:_MAX_ARGO_PREFIX]}-{fnv32a(node)}"


def argo_pod_name(run: str, pod: str) -> ArgoPodName | None:
    """Parse ``<run>[-<template>]-<hash>``; None if the pod is not named after the run in any known way."""
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
    """``name`` without the five characters that generateName appends; None if it does not end in them."""
    return _before(_GENERATED, name)


def scheduled_base(name: str) -> str | None:
    """``name`` without the time that a CronJob (minutes) or CronWorkflow (seconds) appends; None if it does not end in
    one."""
    return _before(_SCHEDULED, name)


def _before(ending: re.Pattern[str], name: str) -> str | None:
    match = ending.search(name)
    return name[: match.start()] if match and match.start() else None


def belongs_to(name: str, prefixes: tuple[str, ...]) -> str | None:
    """The longest of ``prefixes`` that equals ``name``, or that ``name`` continues after a hyphen; None if there is
    none.

    A prefix that ends in a hyphen, as usual in generateName, matches as is.
    """
    hits = [p for p in prefixes if p and (name == p or name.startswith(p if p.endswith("-") else f"{p}-"))]
    return max(hits, key=len, default=None)


@lru_cache(maxsize=256)  # a few keys are looked up for every pod
def pod_label(key: str) -> str:
    """A Kubernetes label key in the form that kube-state-metrics appends to ``label_``: ``tekton.dev/pipelineRun``
    becomes ``tekton_dev_pipeline_run`` (internal/store/utils.go)."""
    return _HUMP.sub(r"\1_\2", _INVALID_LABEL.sub("_", key)).lower()
