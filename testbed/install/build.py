"""Provides the test bed's binaries: from PATH, from the cache, or built from their Go modules.

Slow work must be visible and survive an interruption: every component is a separate step (temporary file, then an
atomic rename), a line is printed every few seconds, a second process waits instead of building the same component, and
disk space is checked before the first compilation.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from testbed.install import archives, toolchain
from testbed.install.components import BY_NAME, Component, parse_version
from testbed.locking import locked, shared, try_exclusive
from testbed.process import Process, TestbedError

Progress = Callable[[str], None]

PROGRESS_SECONDS = 4.0
# Module sources that a cold build downloads besides its own cache, in GB.
DOWNLOAD_GB = 3.0
GO_FLAGS = "-mod=readonly -trimpath -buildvcs=false"


class BuildError(TestbedError):
    """A binary could not be made available."""


def cache_dir() -> Path:
    """$CONCERTMASTER_TESTBED_CACHE, or concertmaster/testbed below the user's cache directory."""
    chosen = os.environ.get("CONCERTMASTER_TESTBED_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "concertmaster" / "testbed"


def cache_key(component: Component, go_version: str) -> str:
    """Cache key of a binary; it changes with module files, package, flags, tags and Go version."""
    digest = hashlib.sha256()
    if component.archive is not None:
        digest.update(component.archive.digest.encode())
    else:
        for name in ("go.mod", "go.sum"):
            digest.update((component.module_dir / name).read_bytes())
    for file in component.own_sources:
        digest.update(file.read_bytes())
    for part in (component.package, GO_FLAGS, component.tags, *component.ldflags, go_version):
        digest.update(b"\0" + part.encode())
    return digest.hexdigest()[:16]


def cached_path(component: Component, cache: Path, go_version: str) -> Path:
    """Path of the built binary, which need not exist yet."""
    return cache / "bin" / cache_key(component, go_version) / component.name


def reported_version(component: Component, binary: Path) -> str | None:
    """The version that the binary reports; None if it cannot report one or does not run."""
    if not component.version_command:
        return None
    try:
        answer = subprocess.run(
            [str(binary), *component.version_command], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(answer.stdout + answer.stderr)


def on_path(component: Component, progress: Progress) -> Path | None:
    """A binary in $KUBEBUILDER_ASSETS or on PATH, if it has the pinned minor version."""
    if not component.version_command:
        return None
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    for candidate in (shutil.which(component.name, path=assets) if assets else None, shutil.which(component.name)):
        if candidate is None:
            continue
        version = reported_version(component, Path(candidate))
        if version is not None and component.accepts(version):
            progress(f"{component.name}: using {candidate}, version {version}")
            return Path(candidate)
        actual = f"version {version}" if version else "of unknown version"
        progress(f"{component.name}: not using {candidate}, {actual} instead of {component.minor}")
    return None


def check_disk(cache: Path, components: Iterable[Component], free_bytes: int | None = None) -> None:
    """Raise BuildError if the file system of `cache` lacks the space that the build needs temporarily."""
    needed = DOWNLOAD_GB + sum(component.cache_gb for component in components)
    existing = next(parent for parent in (cache, *cache.parents) if parent.exists())
    free = (shutil.disk_usage(existing).free if free_bytes is None else free_bytes) / 1e9
    if free < needed:
        names = ", ".join(component.name for component in components)
        raise BuildError(
            f"building {names} needs about {needed:.1f} GB below {cache} while it runs, {free:.1f} GB are free. "
            "Free some space, or point CONCERTMASTER_TESTBED_CACHE to a directory on a larger disk."
        )


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}m{int(seconds) % 60:02d}s"


def _compile(component: Component, go: toolchain.Go, cache: Path, label: str, progress: Progress) -> Path:
    """Run one `go build` into the cache; the caller holds the component's lock."""
    target = cached_path(component, cache, go.version)
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob(f".{component.name}.*"):
        leftover.unlink()  # of a killed build; the lock excludes any other build of this component
    partial = target.with_name(f".{component.name}.{os.getpid()}")
    log = cache / "logs" / f"{component.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    directory = sources(component)
    overlay = _overlay(component, directory, target.with_suffix(".json"))
    ldflags = " ".join(("-s", "-w", *component.ldflags))
    process = Process(
        component.name,
        [go.command, "build", *overlay, "-tags", component.tags, "-ldflags", ldflags, "-o", partial, component.package],
        log=log,
        cwd=directory,
        env={
            "GOCACHE": str(cache / "gocache"),
            "GOFLAGS": GO_FLAGS,
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
            "GOOS": "",
            "GOARCH": "",
            "CGO_ENABLED": "0",
        },
    )
    started = time.monotonic()
    progress(f"{label}: building, about {_clock(component.seconds)} on two cores")
    process.start()
    try:
        # Compilers inherit the priority: tests and editors stay responsive during a build.
        os.setpriority(os.PRIO_PROCESS, process.pid, 5)
        reported = time.monotonic()
        while process.running:
            time.sleep(0.1)
            if time.monotonic() - reported >= PROGRESS_SECONDS:
                reported = time.monotonic()
                progress(f"{label}: {_clock(reported - started)} of about {_clock(component.seconds)}")
        code = process.returncode
        last = process.tail(25)
    finally:
        process.stop(timeout=2)
    if code != 0:
        partial.unlink(missing_ok=True)
        raise BuildError(f"building {component.name} failed with code {code}; the end of {log}:\n{last}")
    version = reported_version(component, partial)
    if component.version_command and (version is None or not component.accepts(version)):
        partial.unlink(missing_ok=True)
        raise BuildError(
            f"the built {component.name} says its version is {version}, expected {component.version}; "
            f"compare testbed/install/components.py with {component.module_dir / 'go.mod'}"
        )
    partial.rename(target)
    log.unlink(missing_ok=True)
    progress(f"{label}: built in {_clock(time.monotonic() - started)}, {target.stat().st_size / 1e6:.0f} MB")
    return target


def _overlay(component: Component, directory: Path, file: Path) -> list[str | Path]:
    """The option that adds a component's own sources to those of its archive; none for all others."""
    if component.archive is None or not component.own_sources:
        return []
    own = {str(directory / component.package / source.name): str(source) for source in component.own_sources}
    file.write_text(json.dumps({"Replace": own}))
    return ["-overlay", file]


def _drop_build_cache(cache: Path) -> None:
    """Remove the compiler's cache unless another process is still building with it."""
    with try_exclusive(cache / "locks" / "gocache") as free:
        if free:
            shutil.rmtree(cache / "gocache", ignore_errors=True)


def resolve(names: Sequence[str], progress: Progress = lambda _: None) -> tuple[dict[str, Path], list[Component]]:
    """Paths of the available components, and the components to build. Raises ValueError for an unknown name."""
    unknown = [name for name in names if name not in BY_NAME]
    if unknown:
        raise ValueError(f"unknown component {unknown[0]!r}; known: {', '.join(BY_NAME)}")
    cache = cache_dir()
    version = toolchain.planned_version()
    paths: dict[str, Path] = {}
    missing: list[Component] = []
    for name in names:
        component = BY_NAME[name]
        cached = cached_path(component, cache, version)
        path = on_path(component, progress) or (cached if cached.exists() else None)
        if path is None:
            missing.append(component)
        else:
            paths[name] = path
    return paths, missing


def ensure(names: Sequence[str], progress: Progress = print, *, keep_build_cache: bool = False) -> dict[str, Path]:
    """Paths of the named binaries, building missing ones.

    Searches $KUBEBUILDER_ASSETS and PATH (pinned minor version only), then the cache, then builds. `progress` gets one
    line per decision and at least one every 5 seconds during slow work. The compiler's cache is removed after complete
    success, unless `keep_build_cache`. Raises BuildError, and ValueError for an unknown name.
    """
    cache = cache_dir()
    paths, missing = resolve(names, progress)
    if missing:
        check_disk(cache, missing)
        go = toolchain.find_or_install(cache, progress)
        with shared(cache / "locks" / "gocache"):
            for number, component in enumerate(missing, start=1):
                label = f"[{number}/{len(missing)}] {component.name} {component.version}"
                with locked(cache / "locks" / component.name, component.name, progress):
                    ready = cached_path(component, cache, go.version)
                    paths[component.name] = ready if ready.exists() else _compile(component, go, cache, label, progress)
        if not keep_build_cache:
            _drop_build_cache(cache)
    return {name: paths[name] for name in names}


def sources(component: Component) -> Path:
    """Directory in which a component is built: its wrapper module, or its unpacked archive."""
    if component.archive is None:
        return component.module_dir
    return archives.unpack(component.archive, cache_dir(), component.name)


def module_source(component: Component, module: str) -> Path:
    """Directory with the sources of `module` (including manifests) at the version that `component` pins, downloaded if
    necessary.

    Raises BuildError if the Go toolchain cannot provide it.
    """
    go = toolchain.find_or_install(cache_dir(), lambda _: None)
    answer = subprocess.run(
        [str(go.command), "mod", "download", "-json", module],
        cwd=component.module_dir,
        env={**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    try:
        return Path(json.loads(answer.stdout)["Dir"])
    except (ValueError, KeyError) as error:
        raise BuildError(
            f"the sources of {module} are not available: {answer.stderr.strip() or answer.stdout}"
        ) from error
