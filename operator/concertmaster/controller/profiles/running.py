"""Forecasts of the runs in progress, for the status and the series of their workflows."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile
from concertmaster.controller.logged_faults import LoggedFaults
from concertmaster.controller.reporting.workflow_series import WorkflowSeries
from concertmaster.core.analysis.running.by_input import adjusted
from concertmaster.core.analysis.running.forecast import MIN_RUNS, RunForecast, deadline_seconds, forecast_run
from concertmaster.core.analysis.running.timeline import NEWEST, Timeline, comparable, progress, timelines
from concertmaster.core.model import RunRecord, WorkflowKey
from concertmaster.core.model.enums import MetricRole
from concertmaster.history import HistoryError
from concertmaster.report.running import document

log = logging.getLogger("concertmaster.analysis")


class RunningForecasts:
    """Renewed in every cycle. The timelines of earlier runs are reread when a run of the workflow has ended."""

    def __init__(self, history: HistoryProvider, series: WorkflowSeries) -> None:
        self._history = history
        self._series = series
        self._courses: dict[WorkflowKey, tuple[float, list[Timeline]]] = {}
        self._documents: dict[str, list[dict[str, Any]]] = {}
        self._late: dict[str, int] = {}
        self._faults = LoggedFaults(log)

    def late(self, uid: str) -> bool:
        """Whether a run in progress is late."""
        return self._late.get(uid, 0) > 0

    def of(self, uid: str) -> list[dict[str, Any]]:
        """``status.running`` of a profile."""
        return self._documents.get(uid, [])

    def renew(
        self, profiles: Sequence[ResolvedProfile], running: Mapping[WorkflowKey, Sequence[RunRecord]], now: float
    ) -> None:
        """Forecast the runs in progress. A failing forecast affects only its workflow, which keeps its last one."""
        self._courses = {key: known for key, known in self._courses.items() if key in running}
        before, self._documents = self._documents, {}
        late: dict[str, int] = {}
        for profile in profiles:
            if not (runs := running.get(profile.key)):
                continue
            uid = profile.entry.uid
            try:
                forecasts = self._forecasts(profile, runs, now)
                self._documents[uid], late[uid] = document(forecasts), sum(f.late for f in forecasts)
                self._faults.forget(uid)
            except Exception as error:  # noqa: BLE001 - logged there; one workflow's runs must not stop the others
                if isinstance(error, HistoryError):
                    log.info("runs in progress of %s are not forecast: %s", profile.key, error)
                else:
                    self._faults.note(profile.entry, "the forecast of runs in progress", error)
                self._documents[uid] = before.get(uid) or [dict(row) for row in profile.entry.status.running]
                late[uid] = self._late.get(uid, sum(bool(row.get("late")) for row in self._documents[uid]))
        self._faults.keep_only(self._documents)
        self._late = late
        self._series.late(late)

    def _forecasts(self, profile: ResolvedProfile, runs: Sequence[RunRecord], now: float) -> list[RunForecast]:
        definition, policy = profile.resolved.definition, profile.policy
        if definition is None or policy is None:
            return []
        ended = self._history.recorded(definition.key)
        known = self._courses.get(definition.key)
        if known is None or known[0] != ended:
            since = now - policy.analysis.window_seconds
            earlier = self._history.runs(definition, limit=2 * NEWEST, since=since, as_of=now)
            known = self._courses[definition.key] = (ended, timelines(earlier))
        graph = definition.graph
        after = {s.name: s.depends_on for s in graph.steps} if any(s.depends_on for s in graph.steps) else None
        # Sizes by query win once a run is over; what its object says until then may be of another kind.
        queried = policy.metric(MetricRole.INPUT_SIZE) is not None
        forecasts = []
        for at in (progress(comparable(run, known[1], MIN_RUNS), now) for run in runs):
            if at is None:
                continue
            at = replace(at, inputs={}) if queried else at
            fitting = adjusted(at, known[1], after)
            allowed = deadline_seconds(policy.objectives, fitting)
            forecasts.append(forecast_run(at, fitting, allowed, after))
        return [f for f in forecasts if f is not None]
