"""``concertmaster doctor``: what prevents recommendations, each problem with the line to change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import click

from concertmaster import settings
from concertmaster.archive import ArchiveError, ArchiveTable
from concertmaster.archive import configured as configured_archives
from concertmaster.cli import cluster_options, details, options, profiles
from concertmaster.cli.causes import Cause, add_conditions, add_orphaned, is_outdated, name_of, objects
from concertmaster.cli.documents import say
from concertmaster.cli.errors import UserError
from concertmaster.core import text
from concertmaster.core.times import to_minute
from concertmaster.history import DatabaseAddress, HistoryError, server_state
from concertmaster.history import configured as configured_history
from concertmaster.kube import operator_service
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import Forbidden, KubeError, NotFound
from concertmaster.kube.objects import CHANGES, CLUSTER_POLICIES, OWN_KINDS, POLICIES, PROFILES, Resource
from concertmaster.kube.operator_service import OperatorService
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.diagnostics import Diagnostic, DiagnosticStatus, fail, ok, warn
from concertmaster.prometheus.collect.examination import Examination
from concertmaster.report.workflows.fields import moment
from concertmaster.report.workflows.rows import OLD


@click.command("doctor")
@options.source_options
@click.option("-n", "--namespace", help="Only profiles and policies of this namespace. Default: all.")
@cluster_options.operator(", which is asked whether it runs")
@cluster_options.where
@click.option("--skip-cluster", is_flag=True, help="Check only what --prometheus or --config names.")
def command(
    source: options.SourceOptions,
    namespace: str | None,
    operator: str | None,
    cluster: cluster_options.Cluster,
    skip_cluster: bool,
) -> None:
    """Check the metrics source, a history on a server, archives of engines, the operator, the resources in the cluster and
    their conditions.

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
        checks += _print_checks("Cluster", resources(cluster, namespace, details.place(operator)))
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
        yield fail(name, str(error))
        return
    said = f"answers; schema {schema} has " + (f"version {found.version}" if found.version else "no tables yet")
    if not found.writes:
        fix = "point history.url at the primary server"
        yield fail(name, f"{said}; it is a read-only standby", fix)
    elif not found.creates:
        fix = f"make the user the owner of schema {schema}"
        yield fail(name, f"{said}, and this user may not create any there", fix)
    elif found.version < found.ours:
        coming = f", the operator brings it to {found.ours} at its startup"
        yield ok(name, said + coming)
    else:
        yield ok(name, said)


def archives(configured: settings.Settings) -> Iterator[Diagnostic]:
    """The checks of the archives that a configuration names, by one statement each."""
    for name, opening in configured_archives(configured).items():
        yield _archive(name, opening, configured.namespaces)


def _archive(name: str, opening: Callable[[], ArchiveTable], namespaces: Sequence[str]) -> Diagnostic:
    try:
        with closing(opening()) as archive:
            newest = archive.newest(namespaces)
    except ArchiveError as error:
        return warn(name, str(error))
    if namespaces and newest is None:
        where = text.listing(list(namespaces))
        fix = f"compare {name} with the configuration of the engine that writes it, unless no run was archived yet"
        return warn(name, f"can be read, but holds no run of {where}", fix)
    return ok(name, "can be read")


def resources(
    cluster: cluster_options.Cluster, namespace: str | None, operator: tuple[str, str]
) -> Iterator[Diagnostic]:
    """The checks of the resources in a cluster, and of the ``operator`` by the namespace and name of its Service."""
    try:
        client = KubeClient.connect(cluster.kubeconfig, context=cluster.context)
    except KubeError as error:
        yield fail("API server", str(error), "give --kubeconfig FILE, or --skip-cluster")
        return
    try:
        for resource in OWN_KINDS:
            yield _installed(client, resource, namespace)
        yield from _answers(client, namespace, operator)
        yield from _states(client, namespace)
    finally:
        client.close()


def _installed(client: KubeClient, resource: Resource, namespace: str | None) -> Diagnostic:
    try:
        count = sum(1 for _ in client.items(resource.path(namespace), metadata_only=True))
    except NotFound:
        fix = "kubectl apply --server-side -f crds/ (or the Helm chart)"
        return fail(resource.plural, "this kind is not installed", fix)
    except Forbidden as error:
        if namespace is not None and not resource.namespaced:  # those of a team need not see it
            result = "not checked: you have no right to list them; status.policy of a profile names the one in force"
            return warn(resource.plural, result)
        fix = "" if namespace is not None else "name a namespace of yours: -n NAMESPACE; or "
        fix += "give yourself the right to list it, or ask who has it"
        fix = profiles.connection_remedy(error) or fix
        return fail(resource.plural, str(error), fix)
    except KubeError as error:
        fix = profiles.connection_remedy(error) or "check that the API server responds"
        return fail(resource.plural, str(error), fix)
    return ok(resource.plural, text.count(count, "object"))


def _answers(client: KubeClient, namespace: str | None, operator: tuple[str, str]) -> Iterator[Diagnostic]:
    """Whether the operator answers, asked about the first profile."""
    try:
        profile = next(iter(client.items(PROFILES.path(namespace))), None)
    except KubeError:
        return  # reported by _installed
    if profile is not None:
        _, problem = OperatorService(client, *operator).document(profile)
        name, where = "operator", "/".join(operator)
        if problem in ("", operator_service.NOT_ANALYSED):
            yield ok(name, f"Service {where} answers")
        elif problem.startswith((operator_service.NO_RIGHT, operator_service.NO_SERVICE)):
            yield warn(name, f"not checked: {problem}")
        else:
            result = f"Service {where} does not answer: {problem}"
            yield fail(name, result, f"{_RUNNING}: {_PODS}")


_FIRST_CYCLE = 600.0  # seconds within which a new object is processed: two cycles at the default interval
_RUNNING, _PODS = "check that the operator runs", "kubectl get pods -A -l app.kubernetes.io/part-of=concertmaster"


def _states(client: KubeClient, namespace: str | None) -> Iterator[Diagnostic]:
    """Conditions of policies and profiles: one line for each cause, however many objects it concerns."""
    causes: dict[tuple[str, str], Cause] = {}
    unseen: list[str] = []
    new: list[str] = []
    left: dict[str, float] = {}
    watched, hidden, now = 0, False, time.time()
    for resource in (CLUSTER_POLICIES, POLICIES, PROFILES, CHANGES):
        try:
            for raw in client.items(resource.path(namespace)):
                if resource is CHANGES:
                    add_orphaned(raw, causes)
                    continue
                watched += resource is PROFILES or bool((raw.get("spec") or {}).get("discover"))
                if not add_conditions(resource, raw, causes):
                    created = moment(raw["metadata"].get("creationTimestamp"))
                    young = created is not None and now - created < _FIRST_CYCLE
                    (new if young else unseen).append(name_of(resource, raw))
                until = moment((raw.get("status") or {}).get("dataUntil"))
                if until is not None and now - until > OLD and not is_outdated(raw):
                    left[name_of(resource, raw)] = until
        except KubeError:
            hidden = True  # reported by _installed
    if not watched and not hidden:
        fix = "kubectl apply -f examples/policy.yaml, or create a WorkflowProfile"
        yield warn("workflows", "nothing is watched: no profile exists and no policy has spec.discover", fix)
    if new:
        result = f"created less than {text.duration(_FIRST_CYCLE)} ago; processed in the operator's next cycle"
        yield ok(objects(new), result)
    if unseen:
        fix = f"{_RUNNING} and that its configuration includes the namespace"
        yield warn(objects(unseen), "not processed by any operator yet", fix)
    if left:
        result = f"not brought up to date since {to_minute(max(left.values()))}, and no condition says why"
        fix = f"{_RUNNING}: {_PODS}"
        yield fail(objects(list(left)), result, fix)
    for cause in sorted(causes.values(), key=lambda c: -len(c.names)):
        found = fail if cause.prevents else warn
        yield found(objects(cause.names), f"{cause.type} is {cause.status} ({cause.reason})", cause.message)
