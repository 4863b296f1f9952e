"""Every step of the Dockerfile, applied in a clean directory, and the operator run from what comes out of it."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scale.operator_process import DEPLOYED, IMAGE
from image import prune, sbom, warm
from testbed.services.prometheus import PrometheusServer
from tests.support.chart.bed import ROOT, Bed, deployed, source
from tests.support.chart.dockerfile import BARE_PYTHON, Builder, BuildFailed, Stage, context, instructions
from tests.support.cluster.operator_bed import apply, condition, cronjob, history, policy, runs_of_cronjob, wait_for

pytestmark = pytest.mark.timeout(600)  # the first test waits for the build: a minute, much longer on a busy machine

# Bytes of Python in the image: PostgreSQL's driver with its library is 15e6 of them, a second set of bytecode 13e6.
LARGEST = 178e6


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The final stage."""
    return Builder(ROOT, tmp_path_factory.mktemp("image")).build()


def tree(image: Stage) -> Path:
    """The operator and its libraries."""
    return image.path("/opt/concertmaster")


def test_the_tree_is_small_and_pruned(image: Stage) -> None:
    size = prune.size(tree(image))
    print(f"Python in the image: {size / 1e6:.0f} MB")
    assert size < LARGEST
    assert not (tree(image) / "kubernetes" / "aio").exists()
    assert not (tree(image) / "bin").exists()


def test_the_image_runs_as_nobody_without_a_shell(image: Stage) -> None:
    assert image.user == "65532:65532", "numeric, or the kubelet cannot tell that it is not root"
    assert image.entrypoint == ["/usr/bin/python3", "-m", "concertmaster"]
    assert "distroless" in image.base
    assert image.ports == [8080]
    assert image.env["PYTHONSAFEPATH"] == "1" and image.env["PYTHONDONTWRITEBYTECODE"] == "1"
    assert image.env.items() >= IMAGE.items(), "benchmarks measure the memory of another process than the image's"
    final = list(instructions((ROOT / "Dockerfile").read_text()))
    last = max(i for i, (word, _) in enumerate(final) if word == "FROM")
    shell = [rest for word, rest in final[last:] if word == "RUN" and not rest.startswith("[")]
    assert shell == [], "the final stage has no shell"


def test_bases_are_pinned_by_tag() -> None:
    images = [rest.partition("=")[2] for word, rest in instructions((ROOT / "Dockerfile").read_text()) if word == "ARG"]
    assert len(images) == 2
    for name in images:
        assert re.fullmatch(r"[a-z0-9./-]+:[a-z0-9.-]+", name), name
        assert not name.endswith(":latest")


def test_only_what_is_needed_enters_the_build() -> None:
    names = {p.relative_to(ROOT).as_posix() for p in context(ROOT, (ROOT / ".dockerignore").read_text())}
    tops = {n.split("/")[0] for n in names}
    assert tops == {"LICENSE", "LICENSES", "image", "operator", "requirements"}
    assert not [n for n in names if n.endswith(".pyc")]
    assert "requirements/dev.txt" not in names


def test_a_tampered_lock_stops_the_build(tmp_path: Path) -> None:
    copy = tmp_path / "source"
    for name in ("Dockerfile", ".dockerignore"):
        (copy / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    (copy / "requirements").mkdir()
    text = (ROOT / "requirements" / "runtime.txt").read_text()
    pin = text[text.index("click==") :].split("\n\n")[0]
    lines = [line for line in pin.splitlines() if "==" in line or "--hash" in line][:2]
    lock = re.sub(r"sha256:[0-9a-f]{64}", "sha256:" + "0" * 64, "\n".join(lines)).rstrip("\\ ")
    (copy / "requirements" / "runtime.txt").write_text(lock + "\n")
    (tmp_path / "build").mkdir()
    with pytest.raises(BuildFailed, match="DO NOT MATCH THE HASHES"):
        Builder(copy, tmp_path / "build").build()


def test_an_entry_that_prunes_nothing_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    with pytest.raises(ValueError, match="nothing matches kubernetes/aio"):
        prune.prune(tmp_path)


def test_the_sbom_lists_what_is_in_the_tree(image: Stage) -> None:
    found = json.loads((tree(image) / "sbom.cdx.json").read_text())
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.5")
    installed = {
        sbom.normal(p.name.removesuffix(".dist-info").rpartition("-")[0]) for p in tree(image).glob("*.dist-info")
    }
    assert {c["name"] for c in found["components"]} == installed
    assert all(c["purl"] == f"pkg:pypi/{c['name']}@{c['version']}" for c in found["components"])
    assert all(c["hashes"] for c in found["components"])
    unlicensed = [c["name"] for c in found["components"] if not c["licenses"]]
    assert unlicensed == []
    text = (ROOT / "requirements" / "runtime.txt").read_text()
    again = sbom.document(tree(image), text)
    assert again["serialNumber"] == found["serialNumber"], "equal builds have equal documents"
    with pytest.raises(ValueError, match=r"click \S+ is installed but not locked"):
        sbom.document(tree(image), re.sub(r"(?m)^click==", "klick==", text))


def run(image: Stage, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The image's entry point with nothing but the image's tree."""
    environment = {k: v.replace("/opt/", f"{image.root}/opt/") for k, v in image.env.items()}
    return subprocess.run(
        [BARE_PYTHON, "-S", *image.entrypoint[1:], *arguments],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_command_starts_from_the_tree(image: Stage) -> None:
    assert run(image, *image.command).returncode == 0
    version = run(image, "--version").stdout
    assert version.startswith("concertmaster, version")
    for command in ("run", "analyze", "doctor", "crds", "check-config"):
        answer = run(image, command, "--help")
        assert answer.returncode == 0, answer.stderr


def test_libraries_imported_when_needed_are_compiled_in_the_image() -> None:
    found = set()
    for path in (ROOT / "operator" / "concertmaster").rglob("*.py"):
        functions = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]
        for node in (n for function in functions for n in ast.walk(function)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found |= {name.partition(".")[0] for name in names}
    assert found - set(sys.stdlib_module_names) - {"concertmaster"} == set(warm.LATE)
    checked = next(
        line for line in (ROOT / "Dockerfile").read_text().splitlines() if "concertmaster.controller.main" in line
    )
    assert all(name in checked for name in warm.LATE), "the build does not notice that it was pruned"


def listing(root: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and time."""
    return {str(p.relative_to(root)): (p.stat().st_size, p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file()}


def imports(image: Stage, more: Mapping[str, str]) -> set[str]:
    """Modules that had to be compiled because the image has no bytecode of them."""
    environment = {k: v.replace("/opt/", f"{image.root}/opt/") for k, v in image.env.items()} | more
    probe = (
        "import importlib, pkgutil, sys, os, concertmaster\n"
        "for m in pkgutil.walk_packages(concertmaster.__path__, 'concertmaster.'):\n"
        "    m.name.endswith('.__main__') or importlib.import_module(m.name)\n"
        "for m in list(sys.modules.values()):\n"
        "    f, c = getattr(m, '__file__', None), getattr(m, '__cached__', None)\n"
        "    if f and f.endswith('.py') and c and not os.path.exists(c): print(f)\n"
    )
    answer = subprocess.run(
        [BARE_PYTHON, "-S", "-c", probe], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return {line for line in answer.stdout.splitlines() if line.startswith(str(image.root))}


@pytest.mark.parametrize("more", [{}, DEPLOYED])
def test_nothing_is_compiled_at_the_start(image: Stage, more: Mapping[str, str]) -> None:
    assert imports(image, more) == set()


def test_the_operator_works_from_the_image_and_writes_nowhere_else(
    bed: Bed, image: Stage, tmp_path: Path, make_prometheus: Callable[..., PrometheusServer]
) -> None:
    place = bed.namespace("image")
    end = time.time() - 30.0
    prometheus = make_prometheus(history=history(*runs_of_cronjob(place, "etl", 30, end), end))
    values = {"sources": [source(prometheus.url)], "config": {"interval": "10s", "limits": {"backfill": "2d"}}}
    bed.install("cm", place, values)
    discover = [{"apiVersion": "batch/v1", "kind": "CronJob"}]
    apply(bed.cluster, cronjob(place, "etl"), policy(place, discover=discover))

    def with_recommendations() -> dict[str, Any]:
        found = bed.cluster.run_kubectl("get", "wfp", "cronjob-etl", "-n", place, "-o", "json")
        obj: dict[str, Any] = json.loads(found.stdout) if found.returncode == 0 else {}
        return obj if condition(obj, "Ready").get("reason") == "Analyzed" else {}

    before = listing(image.root)
    environment = {k: v.replace("/opt/", f"{image.root}/opt/") for k, v in image.env.items()}
    container = tmp_path / "container"
    container.mkdir()
    with deployed(bed, "cm", place, container, python=(BARE_PYTHON, "-S"), environment=environment) as op:
        wait_for("recommendations from the image", with_recommendations)
        assert op.rss() < 200
    assert listing(image.root) == before, "the root file system is read-only"
    written = {p.relative_to(container).parts[0] for p in container.rglob("*") if p.is_file()}
    logs = {name for name in written if name.startswith("concertmaster-0")}
    assert written - logs == {"etc", "var"}
    bed.remove("cm", place)
    bed.cluster.kubectl("delete", "namespace", place, "--wait=false")
