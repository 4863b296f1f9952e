"""``concertmaster web``: the dashboard in the cluster, each request with the rights of its own bearer token."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
from aiohttp.web import Application

from concertmaster.cli import cluster_options, details, options, profiles
from concertmaster.cli.documents import say
from concertmaster.cli.errors import CallError, UserError
from concertmaster.controller.reporting.json_logging import configure_logging
from concertmaster.kube import reviews
from concertmaster.kube.reviews import Reviewer
from concertmaster.web.app import application, interrupted, serve
from concertmaster.web.auth.tenants import Tenants
from concertmaster.web.auth.tokens import TokenAuthenticator
from concertmaster.web.certificate import Certificate
from concertmaster.web.readers import STALE, ClusterReader, Unavailable

log = logging.getLogger("concertmaster.web")
_File = click.Path(dir_okay=False, path_type=Path)
_PAUSE = 5.0  # seconds between attempts at the first list
_LATER = 60.0  # seconds between attempts once there is an older list
_RENEW = STALE - 60.0


@click.command("web")
@click.option("--address", default="0.0.0.0", show_default=True, help="Address to bind.")
@click.option("--port", type=click.IntRange(0, 65535), default=8090, show_default=True, help="TCP port.")
@click.option("--tls-cert", type=_File, help="Certificate chain to serve HTTPS with; read again when it changes.")
@click.option("--tls-key", type=_File, help="Its private key.")
@click.option(
    "--audience", "audiences", multiple=True, help="Audience that tokens must be for. Default: that of the API server."
)
@options.namespaces("Namespace to serve", "all")
@cluster_options.operator(", for graphs and runs")
@click.option("--kubeconfig", type=_File, help="The cluster. Default: the pod's own ServiceAccount, else as kubectl.")
def command(
    address: str,
    port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    audiences: tuple[str, ...],
    namespaces: tuple[str, ...],
    operator: str | None,
    kubeconfig: Path | None,
) -> None:
    """Serve the dashboard in the cluster until SIGTERM. Nothing can be changed by it.

    Each request needs a bearer token; TokenReview says whose it is, and SubjectAccessReview which WorkflowProfiles and
    WorkflowChanges its owner may read. The chart runs this with web.enabled.
    """
    configure_logging()
    if (tls_cert is None) != (tls_key is None):
        raise CallError("--tls-cert and --tls-key belong together")
    try:
        certificate = Certificate(tls_cert, tls_key) if tls_cert is not None and tls_key is not None else None
    except OSError as error:
        raise UserError(f"the certificate {tls_cert} with key {tls_key} cannot be used: {error}") from None
    asked = replace(details.connect(operator, kubeconfig, None), own=False)
    reader = ClusterReader(asked, namespaces=namespaces)
    reviewer = Reviewer(profiles.connect(kubeconfig, limits=reviews.LIMITS), audiences)
    app = application(
        TokenAuthenticator(reviewer, Tenants(reader, reviewer)),
        lambda: "" if reader.read_once else "the first list of WorkflowProfiles was not read yet",
    )

    def bound(port: int) -> None:
        say(f"Listening on {address}:{port} ({'HTTPS' if certificate is not None else 'HTTP'})", err=True)

    try:
        asyncio.run(_serve(app, (address, port), bound, reader, certificate))
    except OSError as error:
        raise UserError(f"cannot listen on {address}:{port}: {error.strerror or error}") from None
    finally:
        reviewer.close()


async def _serve(
    app: Application,
    place: tuple[str, int],
    bound: Callable[[int], None],
    reader: ClusterReader,
    certificate: Certificate | None,
) -> None:
    """Until SIGTERM or SIGINT."""
    beside = [asyncio.create_task(_keep_read(reader), name="list")]
    if certificate is not None:
        beside.append(asyncio.create_task(certificate.watch(), name="certificate"))
    try:
        await serve(app, *place, bound, interrupted, tls=certificate.context if certificate is not None else None)
    finally:
        for task in beside:
            task.cancel()


async def _keep_read(reader: ClusterReader) -> None:
    """Read the list before somebody waits for it; the pod is ready once it is there. It is renewed before it is too old to
    be shown, so that whoever comes after a quiet hour does not wait either."""
    while True:
        try:
            await asyncio.to_thread(reader.fleet)
            pause = _RENEW
        except Unavailable as error:
            log.warning("workflows cannot be listed: %s", error)
            pause = _PAUSE if not reader.read_once else _LATER
        await asyncio.sleep(pause)
