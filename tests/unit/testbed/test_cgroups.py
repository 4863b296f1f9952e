"""Control groups: where they lie, and what versions 1 and 2 say in their files."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from testbed.pods import cgroups
from testbed.pods.cgroups import Cgroup, roots

ONE = """tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
"""
TWO = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\nproc /proc proc rw 0 0\n"


def test_the_own_group_is_found_for_each_controller() -> None:
    assert roots(ONE, "5:cpu,cpuacct:/user\n4:memory:/user/one\n0::/\n") == {
        "cpu": Path("/sys/fs/cgroup/cpu,cpuacct/user"),
        "cpuacct": Path("/sys/fs/cgroup/cpu,cpuacct/user"),
        "memory": Path("/sys/fs/cgroup/memory/user/one"),
        "": Path("/sys/fs/cgroup/unified/"),
    }
    assert roots(TWO, "0::/user.slice/a.scope\n") == {"": Path("/sys/fs/cgroup/user.slice/a.scope")}


def test_version_two_is_limited_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "_roots", lambda: {"": tmp_path})
    group = Cgroup("one", cpu=0.25, memory=64 * 2**20)
    place = tmp_path / "one"
    assert (place / "cpu.max").read_text() == "25000 100000"
    assert (place / "cpu.weight").read_text() == "10000", "its limit holds it back, not the load of the machine"
    assert (place / "memory.max").read_text() == str(64 * 2**20)
    texts = {
        "cpu.stat": "usage_usec 1500000\nnr_periods 40\nnr_throttled 30\nthrottled_usec 2500000\n",
        "memory.stat": "anon 900\ninactive_file 100\n",
        "memory.current": "1000\n",
        "memory.peak": "2000\n",
        "memory.events": "oom 1\noom_kill 1\n",
    }
    for name, text in texts.items():
        (place / name).write_text(text)
    used = group.usage()
    assert (used.cpu_seconds, used.periods, used.throttled_periods, used.throttled_seconds) == (1.5, 40, 30, 2.5)
    assert (used.working_set, used.peak, used.oom_kills) == (900, 2000, 1)


def test_version_one_is_limited_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {name: tmp_path / name for name in ("cpu", "cpuacct", "memory")}
    for place in found.values():
        place.mkdir()
    monkeypatch.setattr(cgroups, "_roots", lambda: {**found, "": tmp_path / "unified"})
    group = Cgroup("one", cpu=2.0, memory=4096)
    assert (found["cpu"] / "one/cpu.cfs_quota_us").read_text() == "200000"
    assert (found["cpu"] / "one/cpu.shares").read_text() == "262144"
    assert (found["memory"] / "one/memory.limit_in_bytes").read_text() == "4096"
    (found["cpu"] / "one/cpu.stat").write_text("nr_periods 4\nnr_throttled 3\nthrottled_time 500000000\n")
    (found["cpuacct"] / "one/cpuacct.usage").write_text("250000000\n")
    (found["memory"] / "one/memory.stat").write_text("cache 1\ntotal_inactive_file 96\n")
    (found["memory"] / "one/memory.usage_in_bytes").write_text("4096\n")
    (found["memory"] / "one/memory.max_usage_in_bytes").write_text("4096\n")
    (found["memory"] / "one/memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    used = group.usage()
    assert (used.cpu_seconds, used.throttled_seconds, used.working_set, used.oom_kills) == (0.25, 0.5, 4000, 2)


def test_the_quota_is_never_below_what_the_kernel_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "_roots", lambda: {"": tmp_path})
    Cgroup("one", cpu=0.005)
    assert (tmp_path / "one/cpu.max").read_text() == "1000 100000"


def test_a_refused_limit_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    found = {name: tmp_path / name for name in ("cpu", "cpuacct", "memory")}
    for place in found.values():
        place.mkdir()
    monkeypatch.setattr(cgroups, "_roots", lambda: found)
    monkeypatch.setattr(Cgroup, "_write", refuse)
    with pytest.raises(OSError, match="Invalid argument"):
        Cgroup("one", cpu=1.0)
    assert [list(place.iterdir()) for place in found.values()] == [[], [], []]


def crowd(place: Path) -> subprocess.Popen[bytes]:
    """A process that the group's file names beside 0, which is none of ours and means the own process group to kill."""
    child = subprocess.Popen(["sleep", "300"])
    place.mkdir(exist_ok=True)
    (place / "cgroup.procs").write_text(f"0\n{child.pid}\n")
    return child


def test_removing_a_group_ends_whatever_runs_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "_roots", lambda: {"": tmp_path})
    monkeypatch.setattr(cgroups.time, "sleep", lambda _: None)
    group = Cgroup("one")
    child = crowd(tmp_path / "one")
    group.remove()
    assert child.wait(10) == -9


def test_what_runs_on_after_its_owner_is_swept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "_roots", lambda: {"": tmp_path})
    monkeypatch.setattr(cgroups.time, "sleep", lambda _: None)
    gone = subprocess.Popen(["true"])
    gone.wait()
    children = [crowd(tmp_path / f"concertmaster-{pid}-a") for pid in (gone.pid, os.getpid())]
    cgroups.sweep()
    assert children[0].wait(10) == -9
    assert children[1].poll() is None, "its owner lives"
    children[1].kill()
    children[1].wait()


def test_version_two_ends_all_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "_roots", lambda: {"": tmp_path})
    monkeypatch.setattr(cgroups.time, "sleep", lambda _: None)
    group = Cgroup("one")
    (tmp_path / "one/cgroup.kill").write_text("")
    group.remove()
    assert (tmp_path / "one/cgroup.kill").read_text() == "1"


def test_a_command_enters_the_group_before_it_becomes_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "_roots", lambda: {"": tmp_path})
    group = Cgroup("one")
    done = subprocess.run(group.command(["echo", "a b", "$c"]), capture_output=True, text=True, check=True)
    assert done.stdout == "a b $c\n"
    assert int((tmp_path / "one/cgroup.procs").read_text()) > 1


def test_where_no_group_can_be_made_the_reason_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(cgroups, "_roots", lambda: {"": tmp_path / "file"})
    assert "NotADirectoryError" in (cgroups.unusable() or "")
    monkeypatch.setattr(cgroups, "_roots", dict)
    assert "KeyError" in (cgroups.unusable() or "")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "_roots", lambda: {"": tmp_path})
    gone = subprocess.Popen(["true"])
    gone.wait()
    mine = f"concertmaster-{os.getpid()}-a"
    for name in (f"concertmaster-{gone.pid}-a", mine, "somebody-1-a"):
        (tmp_path / name).mkdir()
    cgroups.sweep()
    assert sorted(p.name for p in tmp_path.iterdir()) == [mine, "somebody-1-a"]
