"""``concertmaster dashboard``: the pages and the JSON API on the loopback address, with the user's own rights."""

from __future__ import annotations

import asyncio
import webbrowser
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import click

from concertmaster.cli import cluster_options, gather, options, policies
from concertmaster.cli.analysis import analyzed
from concertmaster.cli.analyze_report import self_contained
from concertmaster.cli.commands.explore.report import profile_of
from concertmaster.cli.documents import say
from concertmaster.cli.errors import UserError
from concertmaster.net.background import in_background
from concertmaster.report import detail
from concertmaster.report import result as results
from concertmaster.report.runs.served import recent_runs
from concertmaster.report.runs.views import RunHistory, kept_runs
from concertmaster.report.workflows.fields import full_name
from concertmaster.report.workflows.fleet import FleetView
from concertmaster.web.app import application, interrupted, serve
from concertmaster.web.auth.secret import Secret, SecretAuthenticator
from concertmaster.web.readers import ClusterReader, MemoryReader, Reader, Unavailable


@click.command("dashboard")
@options.facts_options
@cluster_options.PROFILES_WITH
@cluster_options.where
@cluster_options.operator(", for graphs and runs")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port on the loopback address. Default: a free one."
)
@click.option("--open/--no-open", "show", default=True, help="Open a browser.")
def command(
    facts: options.FactsOptions,
    selector: str | None,
    cluster: cluster_options.Cluster,
    operator: str | None,
    port: int,
    show: bool,
) -> None:
    """Serve the dashboard on the loopback address until Ctrl+C. Nothing can be changed by it.

    It reads WorkflowProfiles and WorkflowChanges with your kubeconfig, and asks the operator through the API server; with
    --facts or --prometheus it shows an analysis made now.
    """
    reader: Reader
    whose = ""
    if facts.named:
        reader = examined(facts.read(), facts.span.window, facts.arguments())
    else:
        reader = ClusterReader(cluster.operator(operator), namespaces=facts.span.namespaces, selector=selector)
        whose = "your kubeconfig"
    secret = Secret()

    def ready(bound: int) -> None:
        url = f"http://127.0.0.1:{bound}/?token={secret.value}"
        say(f"Dashboard: {url}\nIt opens for this address only. Ctrl+C ends it.")
        if show:
            webbrowser.open(url)
        # With many workflows the first list takes seconds: it is read while the browser starts.
        in_background(partial(_read_ahead, reader), name="first list")

    try:
        asyncio.run(
            serve(application(SecretAuthenticator(reader, secret, whose)), "127.0.0.1", port, ready, interrupted)
        )
        say("ended", err=True)
    except OSError as error:
        raise UserError(f"cannot listen on 127.0.0.1:{port}: {error.strerror or error}") from None


def _read_ahead(reader: Reader) -> None:
    with suppress(Unavailable):  # the page that asks for it says why
        reader.fleet()


def examined(facts: gather.Facts, window: float | None, arguments: Sequence[str]) -> MemoryReader:
    """An analysis made now. ``arguments``: with what another command reads the same facts."""
    workflows = list(analyzed(facts, window=window))
    raw = [profile_of(w) for w in workflows]
    histories = {
        full_name(p): RunHistory.of(w.result.analysis.definition, w.runs, w.result.analysis.pricing)
        for p, w in zip(raw, workflows, strict=True)
    }

    def past(profile: Mapping[str, Any], run: str) -> dict[str, Any]:
        known = kept_runs(histories[full_name(profile)], run)
        return known.model_dump(mode="json", by_alias=True) if known is not None else {}

    documents = {
        (str(p["metadata"]["namespace"]), str(p["metadata"]["name"])): detail.document(
            self_contained(results.view(w.result), arguments), w.result.profile, None, recent_runs(w.result.analysis)
        )
        for p, w in zip(raw, workflows, strict=True)
    }
    view = FleetView(raw, (), facts.until, policies.recorded_scale(facts.objects))
    return MemoryReader(view, documents, tuple(str(m) for m in facts.missing), past=past)
