"""Execution of pages: the commands in their code blocks, run as printed on a real cluster."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from testbed.install.build import ensure
from tests.support.chart.bed import ROOT, Bed

BLOCK = re.compile(r"^```(console|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PART_OF = "app.kubernetes.io/part-of=concertmaster"


@dataclass
class Step:
    """One command with the output lines shown on the page; ``quiet`` if the page shows that there is no output."""

    command: str
    expected: list[str] = field(default_factory=list)
    quiet: bool = False


def steps(text: str) -> Iterator[Step]:
    """All commands of the page in order: of console blocks with their output, of sh blocks without."""
    for kind, block in BLOCK.findall(text):
        lines = block.replace("\\\n", " ").splitlines()
        if kind == "sh":
            yield from (Step(line) for line in lines)
            continue
        step: Step | None = None
        for line in lines:
            if line.startswith("$ "):
                if step is not None:
                    yield step
                step = Step(line[2:], quiet=True)
            else:
                assert step is not None, f"output without a command: {line}"
                step.expected.append(line)
                step.quiet = False
        assert step is not None, "an empty console block"
        yield step


def shown(expected: str, output: str) -> bool:
    """Whether some line of ``output`` equals the expected one, where ``...`` stands for anything."""
    pattern = re.escape(" ".join(expected.split())).replace(re.escape("..."), ".*")
    return any(re.fullmatch(pattern, " ".join(line.split())) for line in output.splitlines())


def check(step: Step, command: str, environment: Mapping[str, str], place: Path = ROOT) -> str:
    """Run ``command``, which is the step's adapted to this machine, in ``place``; it must succeed and print what the page
    shows."""
    answer = subprocess.run(
        ["bash", "-c", command],
        cwd=place,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    said = answer.stdout + answer.stderr
    assert answer.returncode == 0, f"$ {command}\n{said}"
    for line in step.expected:
        assert shown(line, said), f"$ {command}\nexpected: {line}\n{said}"
    if step.quiet and not command.startswith("helm"):
        assert not answer.stdout.strip(), f"$ {command}\n{said}"
    return said


def environment(bed: Bed, home: Path) -> dict[str, str]:
    """A user's shell environment: helm, kubectl with the plugin, and concertmaster, from this checkout and for this
    cluster."""
    place = home / "bin"
    place.mkdir()
    for name, path in ensure(["helm", "kubectl"], lambda _: None).items():
        (place / name).symlink_to(path)
    for name in ("concertmaster", "kubectl-concertmaster"):
        script = place / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m concertmaster "$@"\n')
        script.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{place}:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT / "operator"),
        "KUBECONFIG": str(bed.cluster.kubeconfig()),
        "HOME": str(home),
        "BROWSER": "true",
    }


def adopt(bed: Bed, release: str, namespace: str) -> None:
    """Transfer kinds left by another test to this release, as ``--take-ownership`` does; the pages assume a cluster
    without them."""
    for crd in bed.cluster.get("crd", "-l", PART_OF)["items"]:
        name = crd["metadata"]["name"]
        for key, value in (("name", release), ("namespace", namespace)):
            bed.cluster.kubectl("annotate", "crd", name, "--overwrite", f"meta.helm.sh/release-{key}={value}")
        bed.cluster.kubectl("label", "crd", name, "--overwrite", "app.kubernetes.io/managed-by=Helm")
