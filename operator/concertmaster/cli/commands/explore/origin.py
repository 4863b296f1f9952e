"""Where ``runs`` and ``compare`` take runs from: facts or a Prometheus, or else the operator of a cluster."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from concertmaster.cli import cluster_options, details, options, profiles
from concertmaster.cli.analysis import analyzed
from concertmaster.cli.errors import UserError
from concertmaster.core import text
from concertmaster.report.runs.views import RunHistory
from concertmaster.web.workflow import WorkflowView

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Origin:
    """The options."""

    source: options.SourceOptions
    span: options.SpanOptions
    facts_file: Path | None
    kubeconfig: Path | None
    context: str | None
    operator: str | None

    @property
    def recorded(self) -> bool:
        """Whether facts or a Prometheus are named; all runs of the window are then at hand."""
        return self.facts_file is not None or self.source.named

    def histories(self, names: Sequence[str]) -> list[RunHistory]:
        """The runs of the workflows of these names (none: of all) from facts or a Prometheus. Raises UserError where there
        are none, or where one name is that of several workflows."""
        facts = options.read_facts(self.facts_file, self.source, self.span)
        histories = [
            RunHistory.of(w.result.analysis.definition, w.runs, w.result.analysis.pricing)
            for w in analyzed(facts, window=self.span.window, names=names)
        ]
        histories = [h for h in histories if h.runs]
        if not histories:
            name = f" of a workflow named {', '.join(names)}" if names else ""
            raise UserError(f"no finished run{name} was found among {text.count(len(facts.pods), 'pod')}")
        if names and len(histories) > len(names):
            keys = ", ".join(str(h.definition.key) for h in histories)
            raise UserError(f"several workflows have that name: {keys}; choose one with --namespace")
        return histories

    def served(self, workflow: str) -> WorkflowView:
        """The workflow (or profile) of that name with the runs that the operator keeps. Raises UserError."""
        client = profiles.connect(self.kubeconfig, self.context)
        place = next(iter(self.span.namespaces), None) or profiles.default_namespace(self.kubeconfig, self.context)
        matches = [
            view
            for p in profiles.each(client, place)
            if workflow in ((view := WorkflowView(p, {}, "", (), time.time())).row.workflow, view.row.profile)
        ]
        if len(matches) != 1:
            what = "no WorkflowProfile is" if not matches else "several WorkflowProfiles are"
            raise UserError(f"{what} about {workflow} in namespace {place}: kubectl get wfp -n {place} lists them")
        profile = matches[0].profile
        where = details.place(self.operator)
        detail, problem = details.ask(self.kubeconfig, profile, where, self.context)
        if problem:
            raise UserError(f"the operator could not be reached: {problem}. Or name a source of runs: --prometheus URL")

        def past(run: str) -> dict[str, Any]:
            return details.ask_runs(self.kubeconfig, profile, where, self.context, run)

        return WorkflowView(profile, detail, "", (), time.time(), past)


def origin_options(command: F) -> F:
    """Adds the options and hands them to the command as ``origin``."""

    @functools.wraps(command)
    def call(source: options.SourceOptions, span: options.SpanOptions, **values: Any) -> Any:
        names = ("facts_file", "kubeconfig", "context", "operator")
        return command(origin=Origin(source, span, **{name: values.pop(name) for name in names}), **values)

    for option in (
        cluster_options.operator(" of the cluster"),
        cluster_options.CONTEXT,
        cluster_options.KUBECONFIG,
        cluster_options.FACTS,
    ):
        call = option(call)
    return cast("F", options.source_options(options.span_options(call)))
