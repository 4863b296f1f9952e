"""What each shard knows of the policies of the whole cluster, for the one shard that writes their status.

A shard keeps its part in a ConfigMap and writes it where it changed. The parts are put together only when all of them were
made for the same set of shards: then every namespace is in exactly one.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from concertmaster.controller.policies.summary import PolicySummary
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import KubeError, NotFound
from concertmaster.kube.objects import CONFIG_MAPS

log = logging.getLogger("concertmaster.shards")

_KEY = "summary.json"


@dataclass(frozen=True, slots=True)
class ShardPart:
    """One shard's part: the shards it counted with, and what it knows by the policy's name."""

    shards: tuple[str, ...]
    policies: Mapping[str, PolicySummary]


_PART = TypeAdapter(ShardPart)


class Summaries:
    """The parts of all shards. ``client`` writes although the namespace may be another shard's, because the names are its
    own."""

    def __init__(self, client: KubeClient, namespace: str, own: str) -> None:
        self._client = client
        self._namespace = namespace
        self._own = own
        self._written: ShardPart | None = None
        self._text = ""  # of that
        self._awaited: frozenset[str] = frozenset()

    def publish(self, alive: Collection[str], policies: Mapping[str, PolicySummary]) -> None:
        """Write the own part where it changed, or where somebody changed or deleted it. Raises KubeError."""
        part = ShardPart(tuple(sorted(alive)), policies)
        if part == self._written and self._stored(self._own) == self._text:
            return
        text = _PART.dump_json(part).decode()
        name = _name(self._own)
        try:
            self._client.patch(CONFIG_MAPS.path(self._namespace, name), {"data": {_KEY: text}})
        except NotFound:
            meta = {"name": name, "namespace": self._namespace}
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {_KEY: text}}
            self._client.create(CONFIG_MAPS.path(self._namespace), body)
        self._written, self._text = part, text

    def others(self, alive: Collection[str]) -> list[Mapping[str, PolicySummary]] | None:
        """The parts of all other shards; None while one is missing or was made for another set of shards."""
        summaries: list[Mapping[str, PolicySummary]] = []
        for shard in sorted(alive):
            if shard == self._own:
                continue
            part = self._read(shard)
            if part is None or set(part.shards) != set(alive):
                self._awaited = frozenset(alive)
                return None
            summaries.append(part.policies)
        self._awaited = frozenset()
        return summaries

    def arrived(self) -> bool:
        """Whether parts that a cycle waited for have arrived, so that another cycle is worthwhile."""
        return bool(self._awaited) and self.others(self._awaited) is not None

    def _read(self, shard: str) -> ShardPart | None:
        text = self._stored(shard)
        try:
            return None if text is None else _PART.validate_json(text)
        except ValidationError:
            log.info("the summary of shard %s is not of this version", shard)
        return None

    def _stored(self, shard: str) -> str | None:
        """A shard's part as the API server has it; None where it cannot be read."""
        try:
            config_map = self._client.get(CONFIG_MAPS.path(self._namespace, _name(shard)))
        except KubeError as error:
            log.info("the summary of shard %s could not be read: %s", shard, error)
            return None
        return str((config_map.get("data") or {}).get(_KEY, ""))


def _name(shard: str) -> str:
    return f"{shard}-summary"
