"""axe-core: what npm brings is used only where it is the pinned package."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from testbed.pages import axe
from testbed.process import TestbedError


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What an npm on the PATH brings, with an empty cache."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as packed:
        info = tarfile.TarInfo("package/axe.min.js")
        info.size = 6
        packed.addfile(info, io.BytesIO(b"axe={}"))
    (tmp_path / "brought.tgz").write_bytes(made.getvalue())
    npm = tmp_path / "npm"
    asked = f"pack axe-core@{axe.VERSION} --pack-destination"
    npm.write_text(f'#!/bin/sh\n[ "$1 $2 $3" = "{asked}" ] && cp {tmp_path}/brought.tgz "$4"\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CONCERTMASTER_TESTBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(axe.VARIABLE, raising=False)
    return made.getvalue()


def test_the_pinned_package_is_kept(archive: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(axe, "INTEGRITY", base64.b64encode(hashlib.sha512(archive).digest()).decode())
    assert axe.ensure().read_bytes() == b"axe={}"
    monkeypatch.setenv("PATH", "")
    assert axe.ensure().is_file(), "from the cache"


def test_another_package_is_not_used(archive: bytes, tmp_path: Path) -> None:
    assert archive
    with pytest.raises(TestbedError, match="instead of the pinned one"):
        axe.ensure()
    assert not list((tmp_path / "cache").rglob("*.js"))


def test_a_file_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(axe.VARIABLE, str(tmp_path / "own.js"))
    assert axe.ensure() == tmp_path / "own.js"
