"""What a container may use, of both versions of control groups, and where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from concertmaster.net import cgroup

MIB = 2**20


def group(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 4),
        ({"cpu.max": "max 100000\n"}, 4),
        ({"cpu.max": "250000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "900000 100000\n"}, 4),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
    ],
)
def test_a_cpu_limit_leaves_whole_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: Mapping[str, str], cores: int
) -> None:
    monkeypatch.setattr(cgroup.os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    assert cgroup.cores(group(tmp_path, files)) == cores


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({}, None),
        ({"memory.max": "max\n", "memory.current": "1000\n"}, None),
        ({"memory.max": f"{512 * MIB}\n", "memory.current": f"{200 * MIB}\n"}, 312 * MIB),
        (
            {
                "memory.max": f"{512 * MIB}\n",
                "memory.current": f"{200 * MIB}\n",
                "memory.stat": f"anon 1\ninactive_file {50 * MIB}\n",
            },
            362 * MIB,
        ),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/memory.usage_in_bytes": "1\n"}, None),
        (
            {
                "memory/memory.limit_in_bytes": f"{300 * MIB}\n",
                "memory/memory.usage_in_bytes": f"{200 * MIB}\n",
                "memory/memory.stat": f"inactive_file 1\ntotal_inactive_file {10 * MIB}\n",
            },
            110 * MIB,
        ),
    ],
)
def test_what_is_left_of_a_memory_limit(tmp_path: Path, files: Mapping[str, str], left: float | None) -> None:
    assert cgroup.memory_left(group(tmp_path, files)) == left
