"""Where ``runs`` and ``compare`` take runs from: facts or a Prometheus, or else the operator of a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from concertmaster.cli import cluster_options, options, profiles
from concertmaster.cli.analysis import analyzed, selecting
from concertmaster.cli.errors import UserError
from concertmaster.core import text
from concertmaster.report.runs.views import RunHistory
from concertmaster.web.workflow import WorkflowView

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Origin:
    """The options."""

    facts: options.FactsOptions
    cluster: cluster_options.Cluster
    operator: str | None

    def histories(self, names: Sequence[str]) -> list[RunHistory]:
        """The runs of the workflows of these names or KIND/NAMEs (none: of all) from facts or a Prometheus. Raises UserError
        where there are none, or where one name is that of several workflows."""
        facts = self.facts.read()
        histories = [
            RunHistory.of(w.result.analysis.definition, w.runs, w.result.analysis.pricing)
            for w in analyzed(facts, window=self.facts.span.window, names=names)
        ]
        histories = [h for h in histories if h.runs]
        if not histories:
            name = f" of a workflow named {', '.join(names)}" if names else ""
            remedy = ": analyze -o table lists the workflows" if names else ""
            raise UserError(f"no finished run{name} was found among {text.count(len(facts.pods), 'pod')}{remedy}")
        if names and len(histories) > len(names):
            keys = selecting(h.definition.key for h in histories)
            raise UserError(f"several workflows have that name: {keys}; choose one")
        return histories

    def served(self, workflow: str) -> WorkflowView:
        """The workflow (or profile) of that name, or the workflow of that KIND/NAME, with the runs that the operator keeps.
        Raises UserError."""
        client = self.cluster.connect()
        places = self.facts.span.namespaces or (self.cluster.namespace,)
        matches = [p for p in profiles.within(client, places) if profiles.is_about(p, workflow)]
        if not matches:
            lists = "; ".join(f"kubectl get wfp -n {place}" for place in places)
            searched = f"namespace{'s' if len(places) > 1 else ''} {text.listing(list(places))}"
            raise UserError(f"no WorkflowProfile is about {workflow} in {searched}; to list them: {lists}")
        if len(matches) > 1:
            names = text.listing([profiles.called(p) for p in matches])
            raise UserError(f"several WorkflowProfiles are about {workflow}: {names}; choose one with -n and its name")
        (profile,) = matches
        asked = self.cluster.operator(self.operator)
        detail, problem = asked.document(profile)
        if problem:
            raise UserError(f"no runs from the operator: {problem}. Or name a source of runs: --prometheus URL")
        return WorkflowView(profile, detail, "", (), time.time(), lambda run: asked.runs(profile, run)[0])


def origin_options(command: F) -> F:
    """Adds the options and hands them to the command as ``origin``."""

    call = options.gathered(Origin, "origin", command, (cluster_options.operator(" of the cluster"),))
    everywhere = "that of the context; with --facts or --prometheus, all"
    return options.facts_options(cluster_options.where(call), everywhere=everywhere)
