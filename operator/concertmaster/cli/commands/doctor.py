"""``concertmaster doctor``: what keeps advice from being made, each finding with the line to change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from concertmaster import settings
from concertmaster.cli import options
from concertmaster.cli.errors import UserError
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import KubeError, NotFound
from concertmaster.kube.objects import CLUSTER_POLICIES, OURS, POLICIES, PROFILES, Resource
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.examine import Check, Examination, Mark


@click.command("doctor")
@options.source_options
@click.option("-n", "--namespace", help="Only profiles and policies of this namespace. Default: all.")
@click.option(
    "--kubeconfig", type=click.Path(dir_okay=False, path_type=Path), help="Cluster to look at. Default: as kubectl."
)
@click.option("--skip-cluster", is_flag=True, help="Look at the metrics store only.")
def command(
    source: options.SourceOptions,
    namespace: str | None,
    kubeconfig: Path | None,
    skip_cluster: bool,
) -> None:
    """Check the metrics store, the resources in the cluster, and what the operator says of them.

    Exit status 1 when something keeps advice from being made.
    """
    if skip_cluster and not source.named:
        raise click.UsageError("nothing to look at: give --prometheus URL or --config FILE")
    checks: list[Check] = []
    if source.named:
        chosen = source.find()
        checks += _print_checks(f"Metrics store {chosen.url}", examine(chosen))
    if not skip_cluster:
        checks += _print_checks("Cluster", cluster(kubeconfig, namespace))
    bad = [c for c in checks if c.mark is Mark.FAIL]
    warned = sum(c.mark is Mark.WARN for c in checks)
    click.echo(f"{len(checks)} checks: {len(bad)} failed, {warned} with a warning")
    if bad:
        raise UserError(f"{bad[0].name}: {bad[0].result}")


def _print_checks(title: str, checks: Iterator[Check]) -> list[Check]:
    """Print each check as soon as it is known."""
    click.echo(title)
    lines = []
    for check in checks:
        lines.append(check)
        click.echo(f"  {check.mark.value:<5} {check.name}: {check.result}")
        if check.fix and check.mark is not Mark.OK:
            click.echo(f"        do: {check.fix}")
    click.echo()
    return lines


def examine(source: settings.Source, now: float | None = None) -> Iterator[Check]:
    """The checks of one metrics store."""
    with PrometheusClient(source) as client:
        yield from Examination(client, time.time() if now is None else now).run()


def cluster(kubeconfig: Path | None, namespace: str | None) -> Iterator[Check]:
    """The checks of the resources in a cluster."""
    try:
        client = KubeClient.connect(kubeconfig)
    except KubeError as error:
        yield Check("API server", Mark.FAIL, str(error), "give --kubeconfig FILE, or --skip-cluster")
        return
    try:
        for resource in OURS:
            yield _installed(client, resource, namespace)
        for resource in (CLUSTER_POLICIES, POLICIES, PROFILES):
            yield from _states(client, resource, namespace)
    finally:
        client.close()


def _installed(client: KubeClient, resource: Resource, namespace: str | None) -> Check:
    try:
        count = sum(1 for _ in client.items(resource.path(namespace), metadata_only=True))
    except NotFound:
        return Check(
            resource.plural,
            Mark.FAIL,
            "this kind is not installed",
            "kubectl apply --server-side -f crds/ (or the Helm chart)",
        )
    except KubeError as error:
        return Check(resource.plural, Mark.FAIL, str(error), "give yourself the right to list it, or ask who has it")
    return Check(resource.plural, Mark.OK, f"{count} objects")


def _states(client: KubeClient, resource: Resource, namespace: str | None) -> Iterator[Check]:
    try:
        for raw in client.items(resource.path(namespace)):
            yield from _conditions(resource, raw)
    except KubeError:
        return  # reported by _installed


def _conditions(resource: Resource, raw: dict[str, Any]) -> Iterator[Check]:
    meta = raw.get("metadata") or {}
    name = f"{resource.kind} {meta.get('namespace', '')}/{meta.get('name')}".replace(" /", " ")
    conditions = (raw.get("status") or {}).get("conditions") or []
    if not conditions:
        yield Check(
            name,
            Mark.WARN,
            "no operator has looked at it yet",
            "check that the operator runs and watches this namespace",
        )
        return
    for condition in conditions:
        if condition.get("status") != "True" and condition.get("type") != "ObjectivesMet":
            message = f"{condition.get('type')} is {condition.get('status')} ({condition.get('reason')})"
            yield Check(name, Mark.WARN, message, str(condition.get("message", "")))
