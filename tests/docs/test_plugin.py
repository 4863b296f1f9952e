"""The kubectl plugin's archive, installed as krew does it and called by the real kubectl."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from concertmaster import __version__
from plugin import build
from testbed.build import ensure
from tests.support.named import ROOT

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Archive and manifest."""
    return build.build(tmp_path_factory.mktemp("dist"), "https://releases.example/v0/")


@pytest.fixture(scope="module")
def spec(made: tuple[Path, Path]) -> dict[str, Any]:
    """The manifest."""
    loaded = yaml.safe_load(made[1].read_text())
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture(scope="module")
def installed(made: tuple[Path, Path], spec: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for the PATH, after krew's steps: checksum, unpack, move ``files``, link ``bin``."""
    place = tmp_path_factory.mktemp("krew")
    (platform,) = spec["spec"]["platforms"]
    assert hashlib.sha256(made[0].read_bytes()).hexdigest() == platform["sha256"]
    with tarfile.open(made[0]) as packed:
        packed.extractall(place / "unpacked", filter="data")
    store = place / "store" / "concertmaster" / spec["spec"]["version"]
    store.mkdir(parents=True)
    for rule in platform["files"]:
        assert rule["to"] == "."
        for file in list((place / "unpacked").iterdir()):
            if fnmatch.fnmatch(file.name, rule["from"]):
                shutil.move(file, store / file.name)
    (place / "bin").mkdir()
    (place / "bin" / "kubectl-concertmaster").symlink_to(store / platform["bin"])
    (place / "bin" / "kubectl").symlink_to(ensure(["kubectl"], lambda _: None)["kubectl"])
    return place / "bin"


def kubectl(installed: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """kubectl with the plugin and nothing of this checkout on its path."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {"PATH": f"{installed}:{Path(sys.executable).parent}:/usr/bin:/bin"}
    environment |= {"XDG_CACHE_HOME": str(installed.parent / "cache"), **more}
    command = [str(installed / "kubectl"), *words]
    return subprocess.run(
        command, cwd=installed, env=environment, capture_output=True, text=True, timeout=500, check=False
    )


def test_kubectl_runs_the_plugin_out_of_its_archive(installed: Path) -> None:
    first = kubectl(installed, "concertmaster", "--version")
    assert first.returncode == 0, first.stderr
    assert first.stdout == f"concertmaster, version {__version__}\n"
    assert "once for each version" in first.stderr
    again = kubectl(installed, "concertmaster", "--help")
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("Usage: kubectl concertmaster [OPTIONS] COMMAND") and again.stderr == ""
    assert str(installed / "kubectl-concertmaster") in kubectl(installed, "plugin", "list").stdout
    facts = str(ROOT / "examples" / "facts" / "demo.jsonl.gz")
    answer = kubectl(installed, "concertmaster", "analyze", "--facts", facts, "-o", "table")
    assert answer.returncode == 0 and "blast-search" in answer.stdout, answer.stderr


def test_without_the_package_index_the_plugin_says_so(installed: Path, tmp_path: Path) -> None:
    answer = kubectl(installed, "concertmaster", "--version", XDG_CACHE_HOME=str(tmp_path), PIP_NO_INDEX="1")
    assert answer.returncode == 1
    assert "installing the dependencies failed" in answer.stderr


def test_a_python_that_is_too_old_is_named(installed: Path) -> None:
    script = (installed / "kubectl-concertmaster").read_text().replace("OLDEST = (3, 11)", "OLDEST = (3, 99)")
    place = installed.parent / "old"
    place.mkdir()
    (place / "kubectl-concertmaster").write_text(script)
    answer = subprocess.run(
        [sys.executable, str(place / "kubectl-concertmaster")],
        env={"PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 1
    assert "needs Python 3.99 or newer" in answer.stderr and "CONCERTMASTER_PYTHON" in answer.stderr


def test_the_same_sources_give_the_same_archive(made: tuple[Path, Path], tmp_path: Path) -> None:
    assert build.build(tmp_path)[0].read_bytes() == made[0].read_bytes()


def test_the_manifest_is_what_krew_accepts(spec: dict[str, Any]) -> None:
    """The rules of krew's validation: kind, safe name, semantic version with v, one-line summary, whole platforms."""
    assert spec["apiVersion"] == "krew.googlecontainertools.github.com/v1alpha2" and spec["kind"] == "Plugin"
    assert re.fullmatch(r"[\w-]+", spec["metadata"]["name"])
    inner = spec["spec"]
    assert inner["version"] == f"v{__version__}" and re.fullmatch(r"v\d+\.\d+\.\d+", inner["version"])
    assert "\n" not in inner["shortDescription"] and len(inner["shortDescription"]) <= 50
    for platform in inner["platforms"]:
        assert platform["uri"].startswith("https://releases.example/v0/kubectl-concertmaster-v")
        assert re.fullmatch(r"[0-9a-f]{64}", platform["sha256"])
        assert platform["files"] and not platform["bin"].startswith(("/", "."))
        (selected,) = platform["selector"]["matchExpressions"]
        assert selected == {"key": "os", "operator": "In", "values": ["linux", "darwin"]}
    assert "{" not in yaml.safe_dump(inner["description"] + inner["caveats"])
