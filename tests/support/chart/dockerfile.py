"""Builds a Dockerfile without a container engine: every instruction runs in a directory that represents the image.

Absolute paths of the image are moved below that directory, the build's Python is this one, and the final stage's Python
is its base interpreter without site-packages: it sees its standard library and the image's files, as in the image.
"""

from __future__ import annotations

import fnmatch
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MOVED = ("/opt", "/build")
BARE_PYTHON = str(Path(getattr(sys, "_base_executable", sys.executable)))


class BuildFailed(AssertionError):
    """A step failed; the message has the step and its output."""


@dataclass
class Stage:
    """One stage: the directory of its files and its configuration."""

    base: str
    root: Path
    workdir: str = "/"
    env: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    user: str = ""
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    def path(self, text: str) -> Path:
        """The path on this machine of a path in the image."""
        where = text if text.startswith("/") else f"{self.workdir.rstrip('/')}/{text}"
        return self.root / where.lstrip("/")


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Keyword and arguments of every instruction, with continued lines joined and without comments."""
    joined = ""
    for line in text.splitlines():
        if line.lstrip().startswith("#") or (not line.strip() and not joined):
            continue
        joined += line.rstrip("\\").strip() + " "
        if not line.endswith("\\"):
            word, _, rest = joined.strip().partition(" ")
            yield word, rest.strip()
            joined = ""


def context(root: Path, ignore: str) -> list[Path]:
    """Files of the build context below ``root``, filtered by .dockerignore; the last matching line decides."""
    rules = [line for line in ignore.splitlines() if line.strip() and not line.startswith("#")]
    tops = [r[1:] for r in rules if r.startswith("!")]
    found = []
    for top in tops:
        place = root / top
        for path in [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file()):
            name = path.relative_to(root).as_posix()
            kept = True
            for rule in rules:
                pattern = rule.lstrip("!")
                parts = name.split("/")
                ups = ["/".join(parts[: i + 1]) for i in range(len(parts))]
                bare = pattern.removeprefix("**/")
                hit = any(fnmatch.fnmatch(u, pattern) for u in ups) or (
                    pattern.startswith("**/") and any(fnmatch.fnmatch(p, bare) for p in parts)
                )
                if hit:
                    kept = rule.startswith("!")
            if kept:
                found.append(path)
    return found


class Builder:
    """One build in ``scratch`` of the Dockerfile in ``source``."""

    def __init__(self, source: Path, scratch: Path) -> None:
        self.source = source
        self.scratch = scratch
        self.stages: dict[str, Stage] = {}
        self.args: dict[str, str] = {}
        self.steps: list[str] = []
        self._do = {
            "WORKDIR": self._workdir,
            "COPY": self._copy,
            "RUN": self._run,
            "ENV": lambda stage, rest: self._set(stage.env, rest),
            "LABEL": lambda stage, rest: self._set(stage.labels, rest),
            "USER": lambda stage, rest: setattr(stage, "user", rest),
            "EXPOSE": lambda stage, rest: stage.ports.append(int(rest)),
            "ENTRYPOINT": lambda stage, rest: setattr(stage, "entrypoint", json.loads(rest)),
            "CMD": lambda stage, rest: setattr(stage, "command", json.loads(rest)),
        }
        self._context = scratch / "context"
        for path in context(source, (source / ".dockerignore").read_text()):
            target = self._context / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)

    def build(self) -> Stage:
        """Build all stages; returns the last one."""
        stage: Stage | None = None
        for word, rest in instructions((self.source / "Dockerfile").read_text()):
            self.steps.append(word)
            if word == "ARG":
                name, _, value = rest.partition("=")
                self.args[name] = value
            elif word == "FROM":
                image, _, name = rest.partition(" AS ")
                for key, value in self.args.items():
                    image = image.replace(f"${{{key}}}", value)
                number = len(self.stages)
                stage = Stage(image, self.scratch / f"stage-{number}")
                stage.root.mkdir()
                self.stages[name or str(number)] = stage
            else:
                assert stage is not None, f"{word} before FROM"
                self._do[word](stage, rest)
        assert stage is not None
        return stage

    def _workdir(self, stage: Stage, rest: str) -> None:
        stage.workdir = rest
        stage.path(".").mkdir(parents=True, exist_ok=True)

    def _copy(self, stage: Stage, rest: str) -> None:
        words = shlex.split(rest)
        origin = self._context
        if words[0].startswith("--from="):
            origin = self.stages[words.pop(0).removeprefix("--from=")].root
        *sources, target = words
        for name in sources:
            what = origin / name.lstrip("/")
            if not what.exists():
                raise BuildFailed(f"COPY {rest}: {name} is not in the build context")
            to = stage.path(target)
            if what.is_dir():
                shutil.copytree(what, to, dirs_exist_ok=True, symlinks=True)
            else:
                to = to / what.name if target.endswith("/") else to
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(what, to)

    def _run(self, stage: Stage, rest: str) -> None:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.scratch), **self._env(stage)}
        environment |= {
            k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_", "HTTP", "http", "no_", "NO_"))
        }
        if rest.startswith("["):
            words: list[str] = json.loads(rest)
            command: Any = [BARE_PYTHON, "-S", *words[1:]] if words[0] == "/usr/bin/python3" else words
        else:
            command = self._move(stage, rest).replace("python ", f"{shlex.quote(sys.executable)} ", 1)
        answer = subprocess.run(
            command,
            shell=isinstance(command, str),
            cwd=stage.path("."),
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if answer.returncode != 0:
            raise BuildFailed(f"RUN {rest}\n{answer.stdout}{answer.stderr}")

    def _env(self, stage: Stage) -> dict[str, str]:
        return {key: self._move(stage, value) for key, value in stage.env.items()}

    @staticmethod
    def _move(stage: Stage, text: str) -> str:
        for prefix in MOVED:
            text = text.replace(f"{prefix}/", f"{stage.root}{prefix}/")
        return text

    @staticmethod
    def _set(target: dict[str, str], rest: str) -> None:
        target |= dict(word.split("=", 1) for word in shlex.split(rest))
