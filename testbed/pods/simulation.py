"""Behaviour of a simulated pod, from its annotations; the formulas of stages.yaml in Python, for the exporter.

Annotations (all optional; amounts are Kubernetes quantities; they describe the main container, which is the one named
`main`, else the first that is not Argo's `wait`):

- `sim/startup`: seconds from admission to the containers' start (images, sandbox); 1.
- `sim/duration`: seconds of unconstrained work; 2.
- `sim/cpu`: cores that the work uses; 100m. A lower CPU limit throttles it and prolongs the run in proportion.
  With `sim/contended: "true"` the request is the limit instead, as on a full node; `sim/spare-percent` is the share of
  the missing CPU that the node provides nevertheless; 0.
- `sim/serial-percent`: share of the work that needs no CPU and is not shortened by more of it; 0.
- `sim/pressure-percent`: share of the time spent waiting for CPU that the kernel's pressure figures report; 100.
- `sim/burst-cpu`, `sim/burst-percent`: with a CPU request below the first, the run takes longer by the second: it has
  bursts that no sample shows.
- `sim/memory-peak`: peak working set; 64Mi. It grows linearly from a tenth to all of it over the first 80% of the
  run; at the memory limit the container is OOM-killed, with `sim/crowded: "true"` (a node short of memory) at the request.
- `sim/jitter-percent`, `sim/memory-jitter-percent`: spread of duration and peak, uniform up to this much up or down,
  drawn from the pod's uid (so that both readers of the annotations draw the same).
- `sim/exit-code`, `sim/reason`, `sim/fail-until`: fail with this code and reason, in attempts before `fail-until`.
- `sim/fail-percent`: fail with this probability, drawn from the uid as well.
- `sim/network-receive`, `sim/network-transmit`, `sim/fs-read`, `sim/fs-write`: bytes over the whole run; 0.

Other containers use next to nothing and end with the main one. A pod still running `activeDeadlineSeconds` after its
admission fails at that moment, as with a real kubelet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from testbed.process import TestbedError

CFS_PERIODS_PER_SECOND = 10.0
SIDE_CORES = 0.01
SIDE_MEMORY = 16 * 2**20
_RISE = 0.8
_BASE = 0.1
_UNITS = {"": 1, "m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def parse_quantity(text: str | int | float) -> float:
    """A Kubernetes quantity as a number of cores or bytes; raises TestbedError if it is invalid."""
    match = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(text))
    if match is None or match.group(2) not in _UNITS:
        raise TestbedError(f"{text!r} is not a quantity; examples: 250m, 2, 64Mi, 1.5G")
    return float(match.group(1)) * _UNITS[match.group(2)]


def chance(uid: str, start: int) -> float:
    """A reproducible random number in [0, 1) for a pod: six hexadecimal digits of its uid from `start` on."""
    return int(uid[start : start + 6], 16) / 16**6


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage of one container since its start: counters, and current sizes. `limited`: has a CPU limit."""

    cpu_seconds: float
    working_set: float
    limited: bool = False
    periods: float = 0.0
    throttled_periods: float = 0.0
    throttled_seconds: float = 0.0
    waiting_seconds: float = 0.0
    fs_read_bytes: float = 0.0
    fs_write_bytes: float = 0.0


@dataclass(frozen=True, slots=True)
class PodModel:
    """The plan of one pod. `main`: name of its main container; `seconds`: how long that runs; `cores`: the CPU
    available to it; `busy`: share of the time in which it uses that; `limited`: whether a CPU limit is set;
    `memory_room`: bytes of memory available to it."""

    main: str
    seconds: float
    wanted: float
    cores: float
    busy: float
    pressure: float
    limited: bool
    memory_peak: float
    memory_limit: float | None
    memory_room: float | None
    network_receive: float
    network_transmit: float
    fs_read: float
    fs_write: float

    @classmethod
    def of(cls, pod: Mapping[str, Any]) -> PodModel:
        """The plan of a Pod object as returned by the API server."""
        notes = pod["metadata"].get("annotations") or {}
        uid = pod["metadata"]["uid"]
        containers = pod["spec"]["containers"]
        main = next((c for c in containers if c["name"] == "main"), None)
        main = main or next((c for c in containers if c["name"] != "wait"), containers[0])
        requests = main.get("resources", {}).get("requests", {})
        limits = main.get("resources", {}).get("limits", {})

        def amount(key: str, default: str = "0") -> float:
            return parse_quantity(notes.get(f"sim/{key}", default))

        def spread(key: str, start: int) -> float:
            return 1 + amount(key) / 100 * (2 * chance(uid, start) - 1)

        wanted = amount("cpu", "100m")
        contended = notes.get("sim/contended") == "true"
        asked = parse_quantity(requests["cpu"]) if "cpu" in requests else None
        limit = parse_quantity(limits["cpu"]) if "cpu" in limits else None
        bound = asked if contended and asked is not None else limit
        cores = wanted if bound is None else min(wanted, bound)
        if contended:
            cores += amount("spare-percent") / 100 * (wanted - cores)
        # Without `sim/cpu` the duration is fixed, whatever the limit.
        serial = amount("serial-percent") / 100
        stretch = serial + (1 - serial) * wanted / cores if "sim/cpu" in notes and cores > 0 else 1.0
        rough = asked is not None and "sim/burst-cpu" in notes and asked < amount("burst-cpu")
        stretched = stretch * (1 + amount("burst-percent") / 100 if rough else 1.0)
        crowded = notes.get("sim/crowded") == "true"
        room = requests.get("memory", limits.get("memory")) if crowded else limits.get("memory")
        return cls(
            main=main["name"],
            seconds=float(notes.get("sim/duration", "2")) * spread("jitter-percent", 0) * stretched,
            wanted=wanted,
            cores=cores,
            busy=1 - serial / stretch if stretch > 0 else 1.0,
            pressure=amount("pressure-percent", "100") / 100,
            limited="cpu" in limits,
            memory_peak=amount("memory-peak", "64Mi") * spread("memory-jitter-percent", 24),
            memory_limit=parse_quantity(limits["memory"]) if "memory" in limits else None,
            memory_room=parse_quantity(room) if room is not None else None,
            network_receive=amount("network-receive"),
            network_transmit=amount("network-transmit"),
            fs_read=amount("fs-read"),
            fs_write=amount("fs-write"),
        )

    def done(self, elapsed: float) -> float:
        """Completed share (0 to 1) of the planned run after `elapsed` seconds."""
        return min(1.0, max(0.0, elapsed / self.seconds)) if self.seconds > 0 else 1.0

    def usage(self, container: str, elapsed: float) -> Usage:
        """Usage of one of the pod's containers `elapsed` seconds after its start."""
        elapsed = max(0.0, elapsed)
        if container != self.main:
            return Usage(cpu_seconds=SIDE_CORES * elapsed, working_set=SIDE_MEMORY)
        done = self.done(elapsed)
        level = self.memory_peak * min(1.0, _BASE + (1 - _BASE) * done / _RISE)
        if self.memory_room is not None:
            level = min(level, self.memory_room)
        held_back = (1 - self.cores / self.wanted) * self.busy if self.wanted > 0 else 0.0
        throttled = self.limited and held_back > 0
        periods = elapsed * CFS_PERIODS_PER_SECOND
        return Usage(
            cpu_seconds=self.cores * self.busy * elapsed,
            working_set=level,
            limited=self.limited,
            periods=periods,
            throttled_periods=periods * self.busy if throttled else 0.0,
            throttled_seconds=elapsed * held_back if throttled else 0.0,
            waiting_seconds=min(elapsed, elapsed * held_back * self.pressure),
            fs_read_bytes=self.fs_read * done,
            fs_write_bytes=self.fs_write * done,
        )
