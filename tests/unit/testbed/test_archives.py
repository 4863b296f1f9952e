"""Components whose sources the user has to bring: what is accepted, and what is said without them."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.install import build
from testbed.install.archives import Archive, unpack
from testbed.install.components import ARGO_RETRY, ARGO_V4, BY_NAME, archives_given, expand
from testbed.process import TestbedError
from testbed.services.controlplane import ARGO, Options

GO_MOD, GO_SUM = b"module example.com/controller\n", b"example.com/x v1.0.0 h1:abc=\n"
PINNED = Archive("EXAMPLE_ARCHIVE", hashlib.sha256(GO_MOD + GO_SUM).hexdigest(), "example.com, tag v1")


def archive(path: Path, top: str, **files: bytes) -> Path:
    with tarfile.open(path, "w:gz") as packed:
        for name, content in {"go.mod": GO_MOD, "go.sum": GO_SUM, **files}.items():
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    return path


def test_an_archive_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PINNED.variable, str(archive(tmp_path / "a.tar.gz", "controller-1.0", main=b"package main")))
    found = unpack(PINNED, tmp_path / "cache", "controller")
    assert (found / "main").read_bytes() == b"package main"
    monkeypatch.delenv(PINNED.variable)
    assert unpack(PINNED, tmp_path / "cache", "controller") == found


def test_without_an_archive_the_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PINNED.variable, raising=False)
    with pytest.raises(TestbedError, match=r"set EXAMPLE_ARCHIVE to one \(example.com, tag v1\)"):
        unpack(PINNED, tmp_path, "controller")


def test_other_sources_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PINNED.variable, str(archive(tmp_path / "a.tar.gz", "controller", **{"go.sum": b"other"})))
    with pytest.raises(TestbedError, match="holds other sources of controller than the pinned ones"):
        unpack(PINNED, tmp_path / "cache", "controller")
    (tmp_path / "a.tar.gz").write_text("no archive")
    with pytest.raises(TestbedError, match="cannot be read from"):
        unpack(PINNED, tmp_path / "cache", "controller")
    assert not list((tmp_path / "cache" / "sources").iterdir())


def test_nothing_asks_for_an_archive_unless_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARGO_V4_ARCHIVE", raising=False)
    assert ARGO_V4 not in expand(["all"]) and not archives_given()
    monkeypatch.setenv("ARGO_V4_ARCHIVE", "/somewhere.tar.gz")
    assert archives_given() == (ARGO_V4, ARGO_RETRY[ARGO_V4])


def test_what_is_pinned_is_part_of_the_cache_key() -> None:
    component = BY_NAME[ARGO_V4]
    assert component.archive is not None
    other = replace(component, archive=replace(component.archive, digest="0" * 64))
    assert build.cache_key(component, "1.26.6") != build.cache_key(other, "1.26.6")


def test_the_environment_chooses_the_version_of_argo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ARGO, raising=False)
    assert "argo-workflow-controller" in Options.engines().binaries()
    monkeypatch.setenv(ARGO, "v4")
    assert ARGO_V4 in Options.engines().binaries()
    monkeypatch.setenv(ARGO, "v2")
    with pytest.raises(TestbedError, match="is 'v2'; known versions: v3, v4"):
        Options.engines()
