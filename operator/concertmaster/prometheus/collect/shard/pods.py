"""Which pods of a shard ended or vanished, and what kube-state-metrics says of them and of their Jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from concertmaster.core.model import JobFact
from concertmaster.prometheus.collect.shard import phases, sparse
from concertmaster.prometheus.collect.shard.source import ShardSource
from concertmaster.prometheus.facts.drafts import PodDraft, read_jobs, read_pods, read_presence
from concertmaster.prometheus.queries import bulk as queries
from concertmaster.prometheus.queries import ended as ended_pods


class PodFinder:
    """Asks what became of pods, and describes them."""

    def __init__(self, source: ShardSource, label_keys: tuple[str, ...]) -> None:
        self._source = source
        self._window = source.window
        self._label_keys = label_keys

    def ended(self) -> dict[str, PodDraft]:
        """Drafts of the pods that ended or vanished, found by their phases where the source exposes these."""
        phased = phases.exposed(self._source.client, self._source.end)
        drafts = self._describe(*self._finished(phased=phased))
        if phased and phases.lacking(drafts.values()):
            self._source.client.traits.unphased, phased = self._source.end, False
            names, _ = self._finished()
            drafts = {uid: draft for uid, draft in drafts.items() if uid in names}
        if not phased:
            phases.stand_in(self._source, drafts)
        return drafts

    def _finished(self, *, phased: bool = False) -> tuple[dict[str, str], dict[str, float]]:
        """Names of the pods that ended or vanished, and the times of ends already known, by uid."""
        answer = self._source.ask("finished", ended_pods.finished(self._source.scope, self._window, phased=phased))
        names, ends = dict[str, str](), dict[str, float]()
        for (uid, name, stat), value in answer.select(*self._source.scope.state.columns("uid", "pod"), "stat"):
            if uid in self._source.options.settled:
                continue
            if uid and stat:
                ends[uid] = value
            elif uid:
                names[uid] = name
        return names, ends

    def _describe(self, finished: Mapping[str, str], ends: Mapping[str, float]) -> dict[str, PodDraft]:
        """Their kube-state-metrics series and, where an end is not known, when the pod was last seen."""
        scope, window, drafts = self._source.scope, self._window, dict[str, PodDraft]()
        moments = sparse.moments(finished, ends, self._source.end, window)

        def briefly(names: Sequence[str]) -> str:
            return queries.pods_at(scope, window, self._label_keys, sparse.at_moments(names, moments))

        for answer in self._source.by_name("pods at rest", moments, briefly, rank=moments):
            drafts |= sparse.whole(read_pods(answer, scope.state, finished.keys()))
        others = [name for uid, name in finished.items() if uid not in drafts]
        for answer in self._source.by_name("pods", others, partial(queries.pods, scope, window, self._label_keys)):
            drafts |= read_pods(answer, scope.state, finished.keys())
        unclear = [draft.pod for draft in drafts.values() if draft.finished is None]
        for answer in self._source.by_name("presence", unclear, partial(ended_pods.presence, scope, window)):
            read_presence(answer, scope.state, drafts)
        return drafts

    def jobs(self) -> tuple[JobFact, ...]:
        """Jobs that ended, as far as one query tells."""
        scope = self._source.scope
        return read_jobs(self._source.ask("jobs", queries.jobs(scope, self._window)), scope.state)

    def whole_jobs(self, jobs: tuple[JobFact, ...], drafts: Mapping[str, PodDraft]) -> tuple[JobFact, ...]:
        """Jobs with all there is to know of them, where a long window was read at moments."""
        if not self._window.long:
            return jobs
        scope, window, known = self._source.scope, self._window, {(job.namespace, job.name): job for job in jobs}
        names = sparse.open_jobs(jobs, drafts.values())
        for answer in self._source.by_name("jobs", names, partial(queries.jobs, scope, window)):
            known |= {(job.namespace, job.name): job for job in read_jobs(answer, scope.state)}
        return tuple(known[key] for key in sorted(known))
