"""Where binaries come from, without compiling any: PATH, cache, disk check, locks, failures."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import threading
from pathlib import Path

import pytest

from testbed.install import build, toolchain
from testbed.install.components import ARGO_RETRY, ARGO_V4, BY_NAME, COMPONENTS
from testbed.locking import locked, shared, try_exclusive
from tests.support.waiting import until

GO_VERSION = "1.26.6"


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its own cache, an empty PATH for look-ups, and a known Go version."""
    monkeypatch.setenv("CONCERTMASTER_TESTBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    binaries = tmp_path / "bin"
    binaries.mkdir()
    monkeypatch.setenv("PATH", f"{binaries}:/bin:/usr/bin")
    monkeypatch.setattr(toolchain, "on_path", lambda: toolchain.Go(binaries / "go", GO_VERSION))
    return binaries


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def fake_go(binaries: Path, behaviour: str) -> None:
    """A `go` whose `build` runs `behaviour`; $out is the output path."""
    script(binaries / "go", f'while [ "$1" != -o ]; do shift; done; out=$2\n{behaviour}')


ETCD_SCRIPT = r"""printf '#!/bin/sh\necho etcd Version: 3.6.16\n' > "$out"; chmod +x "$out" """


def test_a_binary_of_the_pinned_minor_version_on_path_is_used_and_said(isolated: Path) -> None:
    found = script(isolated / "etcd", "echo etcd Version: 3.6.2")
    lines: list[str] = []
    assert build.ensure(["etcd"], lines.append) == {"etcd": found}
    assert lines == [f"etcd: using {found}, version 3.6.2"]


def test_kubebuilder_assets_come_before_path(isolated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(isolated / "etcd", "echo etcd Version: 3.6.2")
    asset = script(tmp_path / "assets" / "etcd", "echo etcd Version: 3.6.3")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(asset.parent))
    assert build.ensure(["etcd"], lambda _: None) == {"etcd": asset}


def test_an_older_binary_on_path_is_refused_aloud_and_built_instead(isolated: Path) -> None:
    old = script(isolated / "etcd", "echo etcd Version: 3.4.1")
    fake_go(isolated, ETCD_SCRIPT)
    lines: list[str] = []
    built = build.ensure(["etcd"], lines.append)["etcd"]
    assert built == build.cached_path(BY_NAME["etcd"], build.cache_dir(), GO_VERSION)
    assert lines[0] == f"etcd: not using {old}, version 3.4.1 instead of 3.6"
    assert any("built in" in line for line in lines)


def test_a_second_call_takes_the_cached_binary_without_go(isolated: Path) -> None:
    fake_go(isolated, ETCD_SCRIPT)
    first = build.ensure(["etcd"], lambda _: None)
    fake_go(isolated, "exit 1")
    assert build.ensure(["etcd"], lambda _: None) == first


def test_the_compilers_cache_is_private_and_removed_after_success(isolated: Path) -> None:
    fake_go(isolated, f'mkdir -p "$GOCACHE"; touch "$GOCACHE/x"; {ETCD_SCRIPT}')
    build.ensure(["etcd"], lambda _: None, keep_build_cache=True)
    assert (build.cache_dir() / "gocache" / "x").exists()
    shutil.rmtree(build.cache_dir() / "bin")
    build.ensure(["etcd"], lambda _: None)
    assert not (build.cache_dir() / "gocache").exists()


def test_go_gets_explicit_settings_whatever_the_environment(isolated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOFLAGS", "-mod=vendor")
    monkeypatch.setenv("GOOS", "plan9")
    monkeypatch.setenv("CGO_ENABLED", "1")
    fake_go(isolated, f'echo "$GOFLAGS|$GOOS|$CGO_ENABLED|$GOTOOLCHAIN|$GOWORK" > "$GOCACHE.seen"; {ETCD_SCRIPT}')
    build.ensure(["etcd"], lambda _: None)
    seen = (build.cache_dir() / "gocache.seen").read_text().strip()
    assert seen == "-mod=readonly -trimpath -buildvcs=false||0|local|off"


def test_own_sources_are_added_to_those_of_an_archive_and_count_for_the_cache(
    isolated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool made of functions that only the archive has."""
    name = ARGO_RETRY[ARGO_V4]
    monkeypatch.setattr(build, "sources", lambda _: tmp_path)
    script(isolated / "go", 'cp "$3" "$GOCACHE.overlay"; while [ "$1" != -o ]; do shift; done; touch "$2"')
    key = build.cache_key(BY_NAME[name], GO_VERSION)
    build.ensure([name], lambda _: None)
    seen = json.loads((build.cache_dir() / "gocache.overlay").read_text())
    (own,) = BY_NAME[name].own_sources
    assert seen == {"Replace": {str(tmp_path / "retry" / "main.go"): str(own)}}
    assert "FormulateRetryWorkflow" in own.read_text()
    monkeypatch.setattr(type(own), "read_bytes", lambda _: b"changed")
    assert build.cache_key(BY_NAME[name], GO_VERSION) != key


def test_a_failed_build_shows_the_end_of_its_log_and_keeps_it(isolated: Path) -> None:
    fake_go(isolated, "echo 'main.go:1: undefined: x' >&2; exit 2")
    with pytest.raises(build.BuildError, match=r"(?s)building etcd failed with code 2.*undefined: x"):
        build.ensure(["etcd"], lambda _: None)
    assert "undefined: x" in (build.cache_dir() / "logs" / "etcd.log").read_text()
    assert list((build.cache_dir() / "bin").rglob("*etcd*")) == []


def test_a_built_binary_of_another_version_is_not_kept(isolated: Path) -> None:
    fake_go(isolated, r"""printf '#!/bin/sh\necho 9.9.9\n' > "$out"; chmod +x "$out" """)
    with pytest.raises(build.BuildError, match=r"says its version is 9\.9\.9, expected 3\.6\.16"):
        build.ensure(["etcd"], lambda _: None)
    assert list((build.cache_dir() / "bin").rglob("*etcd*")) == []


def test_leftovers_of_a_killed_build_are_cleared(isolated: Path) -> None:
    target = build.cached_path(BY_NAME["etcd"], build.cache_dir(), GO_VERSION)
    target.parent.mkdir(parents=True)
    leftover = target.with_name(".etcd.12345")
    leftover.touch()
    fake_go(isolated, ETCD_SCRIPT)
    build.ensure(["etcd"], lambda _: None)
    assert target.exists() and not leftover.exists()


def test_slow_builds_print_a_line_at_least_every_five_seconds(isolated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert build.PROGRESS_SECONDS < 5
    monkeypatch.setattr(build, "PROGRESS_SECONDS", 0.2)
    fake_go(isolated, f"sleep 1; {ETCD_SCRIPT}")
    lines: list[str] = []
    build.ensure(["etcd"], lines.append)
    between = lines[1:-1]
    assert len(between) >= 3
    assert all(re.fullmatch(r"\[1/1\] etcd 3\.6\.16: 0m0\ds of about 0m25s", line) for line in between), between


def test_too_little_disk_is_refused_before_anything_is_built(isolated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10**9})())
    fake_go(isolated, "touch $out.ran")
    with pytest.raises(build.BuildError, match=r"building etcd needs about 3\.\d GB below .*cache.* 1\.0 GB are free"):
        build.ensure(["etcd"], lambda _: None)
    assert not (build.cache_dir() / "bin").exists()


def test_the_disk_check_adds_up_what_is_missing(tmp_path: Path) -> None:
    needed = build.DOWNLOAD_GB + sum(c.cache_gb for c in COMPONENTS)
    build.check_disk(tmp_path / "not" / "yet", COMPONENTS, free_bytes=int(needed * 1e9) + 1)
    with pytest.raises(build.BuildError, match="CONCERTMASTER_TESTBED_CACHE"):
        build.check_disk(tmp_path, COMPONENTS, free_bytes=int(needed * 1e9) - 10**8)


def test_the_cache_key_follows_module_files_flags_and_go_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    etcd = BY_NAME["etcd"]
    key = build.cache_key(etcd, GO_VERSION)
    assert build.cache_key(etcd, GO_VERSION) == key
    assert build.cache_key(etcd, "1.26.7") != key
    monkeypatch.setattr(build, "GO_FLAGS", "-mod=mod")
    assert build.cache_key(etcd, GO_VERSION) != key
    monkeypatch.undo()
    shutil.copytree(etcd.module_dir, tmp_path / "etcd")
    with (tmp_path / "etcd" / "go.sum").open("a") as file:
        file.write("\n")
    monkeypatch.setattr("testbed.install.components.MODULES_DIR", tmp_path)
    assert build.cache_key(etcd, GO_VERSION) != key


def test_an_unknown_component_is_named() -> None:
    with pytest.raises(ValueError, match="unknown component 'etdc'"):
        build.ensure(["etdc"], lambda _: None)


def test_a_second_process_waits_for_the_lock_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.locking.NOTICE_SECONDS", 0.1)
    lines: list[str] = []
    order: list[str] = []

    def second() -> None:
        with locked(tmp_path / "lock", "etcd", lines.append):
            order.append("second")

    with locked(tmp_path / "lock", "etcd", lambda _: None):
        waiting = threading.Thread(target=second)
        waiting.start()
        until(lambda: lines)
        order.append("first")
    waiting.join(30)
    assert order == ["first", "second"]
    assert lines and all("waiting for etcd" in line for line in lines)


def test_the_build_cache_stays_while_another_build_uses_it(tmp_path: Path) -> None:
    lock = tmp_path / "gocache"
    with shared(lock), shared(lock), try_exclusive(lock) as free:
        assert not free
    with try_exclusive(lock) as free:
        assert free


@pytest.mark.parametrize(
    ("version", "enough"), [("1.26.4", True), ("1.27", True), ("1.26.3", False), ("1.9.9", False), ("2.0.0", True)]
)
def test_go_has_to_be_new_enough(version: str, enough: bool, isolated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("PATH", f"{isolated}:{os.defpath}")
    script(isolated / "go", f"echo go version go{version} linux/amd64")
    assert (toolchain.on_path() is not None) == enough
    assert toolchain.planned_version() == (version if enough else toolchain.PACKAGE_VERSION)
