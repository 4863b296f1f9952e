"""The kubectl plugin's archive, installed by the real krew and called by the real kubectl."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest
import yaml

from concertmaster import __version__
from plugin import build
from testbed.install.build import ensure
from testbed.services.controlplane import ControlPlane, Options
from tests.support.cluster.operator_bed import install_crds
from tests.support.local_server import local_server
from tests.support.named import ROOT
from tests.support.web.analysed import analysed

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Archive and manifest."""
    return build.build(tmp_path_factory.mktemp("dist"), "https://releases.example/v0/")


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for the PATH with kubectl, krew and a Python that knows nothing of this environment."""
    place = tmp_path_factory.mktemp("tools")
    binaries = ensure(["kubectl", "krew"], lambda _: None)
    (place / "kubectl").symlink_to(binaries["kubectl"])
    (place / "kubectl-krew").symlink_to(binaries["krew"])
    (place / "python3").symlink_to(Path(sys.executable).resolve())
    return place


@dataclass(frozen=True)
class Person:
    """Somebody's kubectl, with nothing of this checkout on its path. ``home`` holds what krew and the plugin keep."""

    home: Path
    tools: Path

    @property
    def bin(self) -> Path:
        """Where krew links plugins."""
        return self.home / "krew" / "bin"

    def kubectl(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        environment |= {"PATH": f"{self.bin}:{self.tools}:/usr/bin:/bin"}
        environment |= {"KREW_ROOT": str(self.home / "krew"), "KREW_NO_UPGRADE_CHECK": "1"}
        environment |= {"XDG_CACHE_HOME": str(self.home / "cache"), "KUBECONFIG": "", **more}
        return subprocess.run(
            [str(self.tools / "kubectl"), *words],
            cwd=self.home,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )

    def krew(self, *words: str) -> str:
        """What krew says; it must succeed."""
        answer = self.kubectl("krew", *words)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout + answer.stderr


@pytest.fixture(scope="module")
def person(made: tuple[Path, Path], tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Who has installed the plugin as docs/plugin.md says."""
    found = Person(tmp_path_factory.mktemp("home"), tools)
    found.krew("install", f"--manifest={made[1]}", f"--archive={made[0]}")
    return found


def test_kubectl_runs_what_krew_installed(person: Person) -> None:
    first = person.kubectl("concertmaster", "--version")
    assert first.returncode == 0, first.stderr
    assert first.stdout == f"concertmaster, version {__version__}\n"
    assert "once for each version" in first.stderr
    again = person.kubectl("concertmaster", "--help")
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("Usage: kubectl concertmaster [OPTIONS] COMMAND") and again.stderr == ""
    assert str(person.bin / "kubectl-concertmaster") in person.kubectl("plugin", "list").stdout
    facts = str(ROOT / "examples" / "facts" / "demo.jsonl.gz")
    answer = person.kubectl("concertmaster", "analyze", "--facts", facts, "-o", "table")
    assert answer.returncode == 0 and "blast-search" in answer.stdout, answer.stderr


def test_it_reads_the_cluster_of_the_kubeconfig(
    person: Person, make_control_plane: Callable[..., ControlPlane]
) -> None:
    cluster = make_control_plane(Options()).cluster
    install_crds(cluster)
    cluster.kubectl("create", "namespace", "etl")
    flow, _ = analysed("nightly")
    ref = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly"}
    kind = {"apiVersion": "concertmaster.dev/v1alpha1", "kind": "WorkflowProfile"}
    cluster.apply({**kind, "metadata": {"name": "nightly", "namespace": "etl"}, "spec": {"workflowRef": ref}})
    status = json.dumps({"status": flow["status"]})
    cluster.kubectl("patch", "wfp", "nightly", "-n", "etl", "--subresource=status", "--type=merge", "-p", status)
    answer = person.kubectl("concertmaster", "top", "--all-namespaces", KUBECONFIG=str(cluster.kubeconfig()))
    assert answer.returncode == 0, answer.stderr
    assert "nightly" in answer.stdout


def test_without_the_package_index_the_plugin_says_so(person: Person, tmp_path: Path) -> None:
    answer = person.kubectl("concertmaster", "--version", XDG_CACHE_HOME=str(tmp_path), PIP_NO_INDEX="1")
    assert answer.returncode == 1
    assert "installing the dependencies failed" in answer.stderr


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    script = (build.HERE / "kubectl-concertmaster").read_text().replace("OLDEST = (3, 11)", "OLDEST = (3, 99)")
    (tmp_path / "kubectl-concertmaster").write_text(script)
    answer = subprocess.run(
        [sys.executable, str(tmp_path / "kubectl-concertmaster")],
        env={"PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 1
    assert "needs Python 3.99 or newer" in answer.stderr and "CONCERTMASTER_PYTHON" in answer.stderr


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    script = tmp_path / "kubectl-concertmaster"
    script.write_text((build.HERE / "kubectl-concertmaster").read_text())
    for name in ("a.whl", "requirements.txt", "taken"):
        (tmp_path / name).touch()
    run = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "taken")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr.startswith(f"error: {tmp_path}/taken/concertmaster/plugin/")
    assert "cannot be written (Not a directory). Set XDG_CACHE_HOME" in run.stderr


def test_the_same_sources_give_the_same_archive(made: tuple[Path, Path], tmp_path: Path) -> None:
    assert build.build(tmp_path)[0].read_bytes() == made[0].read_bytes()


def test_the_manifest_names_the_release(made: tuple[Path, Path]) -> None:
    """What krew does not look at itself: it has accepted the manifest."""
    spec = yaml.safe_load(made[1].read_text())["spec"]
    assert spec["version"] == f"v{__version__}"
    assert len(spec["shortDescription"]) <= 50
    (platform,) = spec["platforms"]
    assert platform["uri"] == f"https://releases.example/v0/{made[0].name}"
    (selected,) = platform["selector"]["matchExpressions"]
    assert selected == {"key": "os", "operator": "In", "values": ["linux", "darwin"]}
    assert "{" not in yaml.safe_dump(spec["description"] + spec["caveats"])


def test_krew_upgrades_from_an_index_and_uninstalls(made: tuple[Path, Path], person: Person, tmp_path: Path) -> None:
    """As docs/plugin.md publishes it: archive and manifest at an address, the manifest in an index of one's own."""
    with served(made[0].parent) as address:
        index = tmp_path / "index"
        (index / "plugins").mkdir(parents=True)
        git(index, "init", "--quiet")
        manifest = made[1].read_text().replace("https://releases.example/v0", address)
        publish(index, manifest)
        person.krew("index", "add", "own", index.as_uri())
        assert "was installed via manifest" in person.krew("upgrade", "concertmaster")
        person.krew("uninstall", "concertmaster")
        assert not list(person.bin.glob("kubectl-concertmaster"))
        person.krew("install", "own/concertmaster")
        publish(index, manifest.replace(f"version: v{__version__}", "version: v99.0.0"))
        assert f"v{__version__} -> v99.0.0" in person.krew("upgrade", "concertmaster")
        assert (person.bin / "kubectl-concertmaster").resolve().parent.name == "v99.0.0"
        assert person.kubectl("concertmaster", "--version").stdout == f"concertmaster, version {__version__}\n"
        person.krew("uninstall", "concertmaster")
        assert not list(person.bin.glob("kubectl-concertmaster"))
        publish(index, re.sub(r'sha256: "\w+"', f'sha256: "{"0" * 64}"', manifest))
        answer = person.kubectl("krew", "install", "own/concertmaster")
        assert answer.returncode != 0 and "checksum does not match" in answer.stderr


def publish(index: Path, manifest: str) -> None:
    (index / "plugins" / "concertmaster.yaml").write_text(manifest)
    git(index, "add", "--all")
    git(index, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--message=a version")


def git(directory: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=directory, check=True, capture_output=True)


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """The files of a directory over HTTP."""
    with local_server(partial(SimpleHTTPRequestHandler, directory=str(directory))) as address:
        yield address
