"""One shard, as a cycle sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from concertmaster.controller.discovery.policies import PolicyView
from concertmaster.controller.policies.summary import PolicySummary, merged, summarized
from concertmaster.controller.shards.assignment import CLUSTER
from concertmaster.controller.shards.ownership import Ownership
from concertmaster.controller.shards.summaries import Summaries
from concertmaster.kube.errors import KubeError

Known = tuple[PolicyView, PolicySummary]


@dataclass(frozen=True, slots=True)
class Shard:
    """The namespaces of this process, and its exchange with the other shards."""

    ownership: Ownership
    summaries: Summaries

    def count(self) -> int:
        """Shards that this cycle counts with, itself included."""
        return len(self.ownership.alive)

    def policies(self, known: Sequence[Known], problem: Callable[[str], object]) -> list[Known]:
        """The policies whose status this shard writes, with what all shards know of them; ``problem`` hears why some had
        to be left.

        Those of a namespace are its own. Those of the whole cluster are written by one shard, once it has the parts of all
        others.
        """
        mine = [(view, summary) for view, summary in known if view.ref.namespace]
        parts = {
            view.entry.name: (view, summarized(view, summary)) for view, summary in known if not view.ref.namespace
        }
        alive = self.ownership.alive
        try:
            self.summaries.publish(alive, {name: summary for name, (_, summary) in parts.items()})
            others = self.summaries.others(alive) if self.ownership.owns(CLUSTER) else None
        except KubeError as error:
            problem(f"the ConfigMap with this shard's part of cluster policies could not be written: {error}")
            return mine
        if others is None:
            return mine
        for name, (view, own) in parts.items():
            mine.append((view, merged([own, *(one[name] for one in others if name in one)])))
        return mine
