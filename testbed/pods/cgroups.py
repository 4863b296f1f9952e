"""Control groups (v1 and v2) for real processes: set limits, read usage, count out-of-memory kills.

Groups are created below the one of this process, whose limits therefore also apply to its children. Nothing is assumed
about the machine: `unusable` tries and returns the reason of a failure.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_PERIOD = 100_000  # microseconds; the kubelet's
_LEAST_QUOTA = 1000  # microseconds; the minimum of the kernel and of the kubelet
_PREFIX = "concertmaster"
_NEEDED = ("cpu", "memory")
_MOUNTS = Path("/proc/self/mounts")
_OWN = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class CgroupUsage:
    """Usage of a group so far: seconds, counts, bytes."""

    cpu_seconds: float
    periods: int
    throttled_periods: int
    throttled_seconds: float
    working_set: int
    peak: int
    oom_kills: int


@lru_cache(maxsize=1)
def _roots() -> Mapping[str, Path]:
    """The directory below which groups are created, by controller; `""` is the single hierarchy of version 2."""
    return roots(_MOUNTS.read_text(), _OWN.read_text())


def roots(mounts: str, own: str) -> Mapping[str, Path]:
    """This process' directory by controller, from the text of /proc/self/mounts and /proc/self/cgroup."""
    paths = {}
    for line in own.splitlines():
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(","), path))
    directories: dict[str, Path] = {}
    for line in mounts.splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup2":
            directories[""] = Path(place + paths.get("", "/"))
        elif kind == "cgroup":
            for controller in {"cpu", "cpuacct", "memory"} & set(options.split(",")):
                directories[controller] = Path(place + paths.get(controller, "/"))
    return directories


class Cgroup:
    """One group with its limits: `cpu` in cores, `memory` in bytes, None for no limit. Raises OSError if the kernel
    rejects one."""

    def __init__(self, name: str, cpu: float | None = None, memory: float | None = None) -> None:
        directories = _roots()
        self._one = not set(_NEEDED) <= directories.keys()
        names = [""] if self._one else ["cpu", "cpuacct", "memory"]
        self._places = {controller: directories[controller] / name for controller in names}
        try:
            for place in self._places.values():
                place.mkdir(exist_ok=True)
            self._limit(cpu, memory)
        except OSError:
            self.remove()
            raise

    def _limit(self, cpu: float | None, memory: float | None) -> None:
        if memory is not None:
            self._write("memory", "memory.max" if self._one else "memory.limit_in_bytes", str(int(memory)))
        if cpu is not None:
            quota = str(max(_LEAST_QUOTA, int(cpu * _PERIOD)))
            if self._one:
                self._write("cpu", "cpu.max", f"{quota} {_PERIOD}")
            else:
                self._write("cpu", "cpu.cfs_period_us", str(_PERIOD))
                self._write("cpu", "cpu.cfs_quota_us", quota)
            # Its limit is what throttles it, also where others keep the machine busy: who is starved is not throttled.
            self._write("cpu", "cpu.weight" if self._one else "cpu.shares", str(10_000 if self._one else 262_144))

    def _place(self, controller: str) -> Path:
        return self._places["" if self._one else controller]

    def _write(self, controller: str, file: str, text: str) -> None:
        (self._place(controller) / file).write_text(text)

    def _read(self, controller: str, file: str) -> str:
        return (self._place(controller) / file).read_text()

    def _table(self, controller: str, file: str) -> dict[str, int]:
        return {key: int(value) for key, value in (line.split() for line in self._read(controller, file).splitlines())}

    def command(self, argv: Sequence[str]) -> list[str]:
        """A command line that joins the group and then executes `argv`."""
        places = [str(place / "cgroup.procs") for place in self._places.values()]
        enter = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 125; shift; done; shift; exec "$@"'
        return ["/bin/sh", "-c", enter, "enter", *places, "--", *argv]

    def usage(self) -> CgroupUsage:
        """Usage so far."""
        stat, memory = self._table("cpu", "cpu.stat"), self._table("memory", "memory.stat")
        if self._one:
            current, inactive = int(self._read("memory", "memory.current")), memory["inactive_file"]
            peak = int(self._read("memory", "memory.peak"))
            kills = self._table("memory", "memory.events")["oom_kill"]
            cpu, throttled = stat["usage_usec"] / 1e6, stat.get("throttled_usec", 0) / 1e6
        else:
            current, inactive = int(self._read("memory", "memory.usage_in_bytes")), memory["total_inactive_file"]
            peak = int(self._read("memory", "memory.max_usage_in_bytes"))
            kills = self._table("memory", "memory.oom_control").get("oom_kill", 0)
            cpu, throttled = int(self._read("cpuacct", "cpuacct.usage")) / 1e9, stat["throttled_time"] / 1e9
        periods, held = stat.get("nr_periods", 0), stat.get("nr_throttled", 0)
        return CgroupUsage(cpu, periods, held, throttled, max(0, current - inactive), peak, kills)

    def remove(self) -> None:
        """Kill all remaining processes of the group and remove it."""
        for place in self._places.values():
            _remove(place)


def _remove(place: Path) -> None:
    """Kill the group's processes and remove its directory, retrying until the kernel has noticed that they ended."""
    for _ in range(50):
        _kill(place)
        try:
            place.rmdir()
        except (FileNotFoundError, NotADirectoryError):
            break
        except OSError:
            time.sleep(0.02)
        else:
            break


def _kill(place: Path) -> None:
    """Send SIGKILL to every process in the group."""
    with contextlib.suppress(OSError):
        if (place / "cgroup.kill").exists():  # version 2
            (place / "cgroup.kill").write_text("1")
            return
        for line in (place / "cgroup.procs").read_text().split():
            # 0 means a process of another pid namespace; as argument of kill it is the caller's own process group.
            if int(line) not in (0, os.getpid()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(line), signal.SIGKILL)


def group_name(*parts: str) -> str:
    """The name of a group, unique to this process."""
    return "-".join((_PREFIX, str(os.getpid()), *parts))


def sweep() -> None:
    """Remove groups that killed processes left behind, and the processes still running in them."""
    for place in {p for root in _roots().values() for p in root.glob(f"{_PREFIX}-*-*")}:
        if not Path("/proc", place.name.split("-")[1]).exists():
            _remove(place)


def unusable() -> str | None:
    """Why groups with limits cannot be created here; None if they can."""
    try:
        group = Cgroup(group_name("probe"), cpu=1.0, memory=2**26)
    except (OSError, KeyError) as error:
        return f"{type(error).__name__}: {error}"
    try:
        group.usage()
    except (OSError, KeyError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        group.remove()
    return None
