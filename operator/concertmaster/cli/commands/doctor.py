"""``concertmaster doctor``: what prevents recommendations, each problem with the line to change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from concertmaster import settings
from concertmaster.archive import ArchiveError, ArchiveTable
from concertmaster.archive import configured as configured_archives
from concertmaster.cli import cluster_options, options
from concertmaster.cli.documents import say
from concertmaster.cli.errors import UserError
from concertmaster.core import text
from concertmaster.core.changes.reconcile import IN_FLIGHT
from concertmaster.core.times import to_minute
from concertmaster.history import DatabaseAddress, HistoryError, server_state
from concertmaster.history import configured as configured_history
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import Forbidden, KubeError, NotFound
from concertmaster.kube.objects import CHANGES, CLUSTER_POLICIES, OWN_KINDS, POLICIES, PROFILES, Resource
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.examination import Diagnostic, DiagnosticStatus, Examination
from concertmaster.report.workflows.fields import moment
from concertmaster.report.workflows.rows import OLD


@click.command("doctor")
@options.source_options
@click.option("-n", "--namespace", help="Only profiles and policies of this namespace. Default: all.")
@cluster_options.CONTEXT
@cluster_options.KUBECONFIG
@click.option("--skip-cluster", is_flag=True, help="Check only what --prometheus or --config names.")
def command(
    source: options.SourceOptions,
    namespace: str | None,
    context: str | None,
    kubeconfig: Path | None,
    skip_cluster: bool,
) -> None:
    """Check the metrics source, a history on a server, archives of engines, the resources in the cluster and their
    conditions.

    Exit status 1 when something prevents recommendations.
    """
    if skip_cluster and not source.named:
        raise click.UsageError("nothing to check: give --prometheus URL or --config FILE")
    checks: list[Diagnostic] = []
    if source.named:
        chosen = source.find()
        checks += _print_checks(f"Metrics source {chosen.url}", examine(chosen))
    if source.config is not None:
        configured = settings.load(source.config)
        if (server := configured_history(configured)) is not None:
            checks += _print_checks(f"History {server}", history(server))
        if configured_archives(configured):
            checks += _print_checks("Archives of engines", archives(configured))
    if not skip_cluster:
        checks += _print_checks("Cluster", cluster(kubeconfig, namespace, context))
    if not source.named:
        say("Not checked: the metrics source. Add --prometheus URL, with its address from here")
        say("")
    bad = [c for c in checks if c.mark is DiagnosticStatus.FAIL]
    warned = sum(c.mark is DiagnosticStatus.WARN for c in checks)
    say(f"{text.count(len(checks), 'check')}: {len(bad)} failed, {warned} with a warning")
    if bad:
        raise UserError(f"{bad[0].name}: {bad[0].result}")


def _print_checks(title: str, checks: Iterator[Diagnostic]) -> list[Diagnostic]:
    """Print each check as soon as it is known."""
    say(title)
    lines = []
    for check in checks:
        lines.append(check)
        say(f"  {check.mark.value:<5} {check.name}: {check.result}")
        if check.fix and check.mark is not DiagnosticStatus.OK:
            say(f"        do: {check.fix}")
    say("")
    return lines


def examine(source: settings.MetricsSource) -> Iterator[Diagnostic]:
    """The checks of one metrics source."""
    with PrometheusClient(source) as client:
        yield from Examination(client, time.time()).run()


def history(server: DatabaseAddress) -> Iterator[Diagnostic]:
    """The check of the database server that keeps the history. Nothing is written there."""
    name, schema = "history.url", server.schema
    try:
        found = server_state(server)
    except HistoryError as error:
        yield Diagnostic(name, DiagnosticStatus.FAIL, str(error))
        return
    said = f"answers; schema {schema} has " + (f"version {found.version}" if found.version else "no tables yet")
    if not found.writes:
        fix = "let history.url lead to the primary server"
        yield Diagnostic(name, DiagnosticStatus.FAIL, f"{said}; it is a read-only standby", fix)
    elif found.version > found.ours:
        fix = f"use the version that wrote it, or name another schema in history.schema: this one knows up to {found.ours}"
        yield Diagnostic(name, DiagnosticStatus.FAIL, said, fix)
    elif not found.creates:
        fix = f"make the user the owner of schema {schema}"
        yield Diagnostic(name, DiagnosticStatus.FAIL, f"{said}, and this user may not create any there", fix)
    elif found.version < found.ours:
        coming = f", the operator brings it to {found.ours} at its startup"
        yield Diagnostic(name, DiagnosticStatus.OK, said + coming)
    else:
        yield Diagnostic(name, DiagnosticStatus.OK, said)


def archives(configured: settings.Settings) -> Iterator[Diagnostic]:
    """The checks of the archives that a configuration names, by one statement each."""
    for name, opening in configured_archives(configured).items():
        yield _archive(name, opening, configured.namespaces)


def _archive(name: str, opening: Callable[[], ArchiveTable], namespaces: Sequence[str]) -> Diagnostic:
    try:
        with closing(opening()) as archive:
            newest = archive.newest(namespaces)
    except ArchiveError as error:
        return Diagnostic(name, DiagnosticStatus.WARN, str(error))
    if namespaces and newest is None:
        where = text.listing(list(namespaces))
        fix = f"compare {name} with the configuration of the engine that writes it, unless no run was archived yet"
        return Diagnostic(name, DiagnosticStatus.WARN, f"can be read, but holds no run of {where}", fix)
    return Diagnostic(name, DiagnosticStatus.OK, "can be read")


def cluster(kubeconfig: Path | None, namespace: str | None, context: str | None = None) -> Iterator[Diagnostic]:
    """The checks of the resources in a cluster."""
    try:
        client = KubeClient.connect(kubeconfig, context=context)
    except KubeError as error:
        yield Diagnostic("API server", DiagnosticStatus.FAIL, str(error), "give --kubeconfig FILE, or --skip-cluster")
        return
    try:
        for resource in OWN_KINDS:
            yield _installed(client, resource, namespace)
        yield from _states(client, namespace)
    finally:
        client.close()


def _installed(client: KubeClient, resource: Resource, namespace: str | None) -> Diagnostic:
    try:
        count = sum(1 for _ in client.items(resource.path(namespace), metadata_only=True))
    except NotFound:
        return Diagnostic(
            resource.plural,
            DiagnosticStatus.FAIL,
            "this kind is not installed",
            "kubectl apply --server-side -f crds/ (or the Helm chart)",
        )
    except Forbidden as error:
        if namespace is not None and not resource.namespaced:  # those of a team need not see it
            result = "not checked: you have no right to list them; status.policy of a profile names the one in force"
            return Diagnostic(resource.plural, DiagnosticStatus.WARN, result)
        fix = "" if namespace is not None else "name a namespace of yours: -n NAMESPACE; or "
        fix += "give yourself the right to list it, or ask who has it"
        return Diagnostic(resource.plural, DiagnosticStatus.FAIL, str(error), fix)
    except KubeError as error:
        return Diagnostic(resource.plural, DiagnosticStatus.FAIL, str(error), "see that the API server answers")
    return Diagnostic(resource.plural, DiagnosticStatus.OK, text.count(count, "object"))


_RUNNING = "check that the operator runs"


@dataclass(slots=True)
class _Cause:
    """One reason why conditions are not True, with the objects that name it."""

    type: str
    status: str
    reason: str
    message: str
    names: list[str] = field(default_factory=list)

    @property
    def prevents(self) -> bool:
        """Whether there can be no recommendations up to date: nothing is read. A query of a user's own is not needed."""
        return (self.type, self.status) == ("MetricsAvailable", "False") and self.reason != "QueryInvalid"


def _states(client: KubeClient, namespace: str | None) -> Iterator[Diagnostic]:
    """Conditions of policies and profiles: one line for each cause, however many objects it concerns."""
    causes: dict[tuple[str, str], _Cause] = {}
    unseen: list[str] = []
    left: dict[str, float] = {}
    watched, hidden, now = 0, False, time.time()
    for resource in (CLUSTER_POLICIES, POLICIES, PROFILES, CHANGES):
        try:
            for raw in client.items(resource.path(namespace)):
                if resource is CHANGES:
                    _orphaned(raw, causes)
                    continue
                watched += resource is PROFILES or bool((raw.get("spec") or {}).get("discover"))
                if not _learn(resource, raw, causes):
                    unseen.append(_name(resource, raw))
                until = moment((raw.get("status") or {}).get("dataUntil"))
                if until is not None and now - until > OLD and not _troubled(raw):
                    left[_name(resource, raw)] = until
        except KubeError:
            hidden = True  # reported by _installed
    if not watched and not hidden:
        fix = "kubectl apply -f examples/policy.yaml, or create a WorkflowProfile"
        yield Diagnostic(
            "workflows",
            DiagnosticStatus.WARN,
            "nothing is watched: no profile exists and no policy has spec.discover",
            fix,
        )
    if unseen:
        fix = f"{_RUNNING} and that its configuration includes the namespace"
        yield Diagnostic(_objects(unseen), DiagnosticStatus.WARN, "not processed by any operator yet", fix)
    if left:
        result = f"not brought up to date since {to_minute(max(left.values()))}, and no condition says why"
        fix = f"{_RUNNING}: kubectl get pods -A -l app.kubernetes.io/part-of=concertmaster"
        yield Diagnostic(_objects(list(left)), DiagnosticStatus.FAIL, result, fix)
    for cause in sorted(causes.values(), key=lambda c: -len(c.names)):
        yield Diagnostic(
            _objects(cause.names),
            DiagnosticStatus.FAIL if cause.prevents else DiagnosticStatus.WARN,
            f"{cause.type} is {cause.status} ({cause.reason})",
            cause.message,
        )


def _bad(raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The conditions of a policy or profile that are not True; a missed objective is no defect."""
    conditions = (raw.get("status") or {}).get("conditions") or []
    return [c for c in conditions if c.get("status") != "True" and c.get("type") != "ObjectivesMet"]


def _troubled(raw: Mapping[str, Any]) -> bool:
    """Whether a condition says why a profile is not brought up to date."""
    return any(c.get("type") != "Ready" or c.get("reason") in ("Stale", "AnalysisFailed") for c in _bad(raw))


def _learn(resource: Resource, raw: Mapping[str, Any], causes: dict[tuple[str, str], _Cause]) -> bool:
    """Add the conditions of one object that are not True; whether it has conditions at all. Ready often repeats what
    another condition says, with its reason or as Stale, and does not count then."""
    conditions = (raw.get("status") or {}).get("conditions") or []
    bad = _bad(raw)
    others = [c for c in bad if c.get("type") != "Ready"]
    repeated = {"Stale", *(c.get("reason") for c in others)} if others else set()
    for condition in bad:
        if condition.get("type") != "Ready" or condition.get("reason") not in repeated:
            _add(resource, raw, condition, causes)
    return bool(conditions)


def _orphaned(raw: Mapping[str, Any], causes: dict[tuple[str, str], _Cause]) -> None:
    """Add a change that the operator has applied and does not roll back by itself any more."""
    status = raw.get("status") or {}
    if status.get("phase") in IN_FLIGHT:
        for condition in status.get("conditions") or []:
            if (condition.get("type"), condition.get("status")) == ("Orphaned", "True"):
                _add(CHANGES, raw, condition, causes)


def _add(
    resource: Resource, raw: Mapping[str, Any], condition: Mapping[str, Any], causes: dict[tuple[str, str], _Cause]
) -> None:
    kind, reason = str(condition.get("type")), str(condition.get("reason"))
    known = causes.setdefault(
        (kind, reason), _Cause(kind, str(condition.get("status")), reason, str(condition.get("message", "")))
    )
    known.names.append(_name(resource, raw))


def _name(resource: Resource, raw: Mapping[str, Any]) -> str:
    meta = raw.get("metadata") or {}
    place = f"{meta['namespace']}/" if meta.get("namespace") else ""
    return f"{resource.kind} {place}{meta.get('name')}"


def _objects(names: Sequence[str]) -> str:
    """Few objects by name, more by the first of them and a count."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
