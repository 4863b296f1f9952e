"""Makes the test bed's binaries available: from PATH, from the cache, or built from their Go modules.

Slow work has to be visible and to survive an interruption: every component is its own step (temporary file, then
an atomic rename), a line is printed every few seconds, a second process waits instead of building the same
thing, and disk space is checked before the first compile rather than found missing in the last.
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

from testbed import archives, toolchain
from testbed.components import BY_NAME, Component, parse_version
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
    """Changes with everything that changes the binary: module files, package, flags, tags and Go version."""
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
    """Where the built binary is or will be."""
    return cache / "bin" / cache_key(component, go_version) / component.name


def reported_version(component: Component, binary: Path) -> str | None:
    """What the binary says its version is; None when it cannot say or does not run."""
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
    """A binary in $KUBEBUILDER_ASSETS or on PATH, if it is of the pinned minor version."""
    if not component.version_command:
        return None
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    for found in (shutil.which(component.name, path=assets) if assets else None, shutil.which(component.name)):
        if found is None:
            continue
        version = reported_version(component, Path(found))
        if version is not None and component.accepts(version):
            progress(f"{component.name}: using {found}, version {version}")
            return Path(found)
        said = f"version {version}" if version else "of unknown version"
        progress(f"{component.name}: not using {found}, {said} instead of {component.minor}")
    return None


def check_disk(cache: Path, components: Iterable[Component], free_bytes: int | None = None) -> None:
    """BuildError when the file system below `cache` is too small for what the build needs in between."""
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
    """One `go build` into its place in the cache; the caller holds the component's lock."""
    target = cached_path(component, cache, go.version)
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob(f".{component.name}.*"):
        leftover.unlink()  # of a build that was killed; nobody else builds this component now
    partial = target.with_name(f".{component.name}.{os.getpid()}")
    log = cache / "logs" / f"{component.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    ldflags = " ".join(("-s", "-w", *component.ldflags))
    process = Process(
        component.name,
        [go.command, "build", "-tags", component.tags, "-ldflags", ldflags, "-o", partial, component.package],
        log=log,
        cwd=sources(component),
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
        # Compilers are started later and inherit it: tests and an editor stay responsive meanwhile.
        os.setpriority(os.PRIO_PROCESS, process.pid, 5)
        reported = time.monotonic()
        while process.running:
            time.sleep(0.1)
            if time.monotonic() - reported >= PROGRESS_SECONDS:
                reported = time.monotonic()
                note = process.tail(1)
                progress(
                    f"{label}: {_clock(reported - started)} {note if note.startswith('go: downloading') else ''}".rstrip()
                )
        code = process.returncode
        last = process.tail(25)
    finally:
        process.stop(timeout=2)
    if code != 0:
        partial.unlink(missing_ok=True)
        raise BuildError(f"building {component.name} failed with code {code}; the end of {log}:\n{last}")
    said = reported_version(component, partial)
    if component.version_command and (said is None or not component.accepts(said)):
        partial.unlink(missing_ok=True)
        raise BuildError(
            f"the built {component.name} says its version is {said}, expected {component.version}; "
            f"compare testbed/components.py with {component.module_dir / 'go.mod'}"
        )
    partial.rename(target)
    log.unlink(missing_ok=True)
    progress(f"{label}: built in {_clock(time.monotonic() - started)}, {target.stat().st_size / 1e6:.0f} MB")
    return target


def _drop_build_cache(cache: Path) -> None:
    """Remove the compiler's cache unless another process is still building with it."""
    with try_exclusive(cache / "locks" / "gocache") as free:
        if free:
            shutil.rmtree(cache / "gocache", ignore_errors=True)


def resolve(names: Sequence[str], progress: Progress = lambda _: None) -> tuple[dict[str, Path], list[Component]]:
    """What is there already, and what would have to be built. ValueError for an unknown name."""
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
        found = on_path(component, progress) or (cached if cached.exists() else None)
        if found is None:
            missing.append(component)
        else:
            paths[name] = found
    return paths, missing


def ensure(names: Sequence[str], progress: Progress = print, *, keep_build_cache: bool = False) -> dict[str, Path]:
    """Paths of the named binaries, building what is missing.

    Looks at $KUBEBUILDER_ASSETS and PATH (pinned minor version only), then at the cache, then builds. `progress`
    gets one line for each decision and at least one every 5 seconds while something is slow. The compiler's cache is
    removed after a complete success, unless `keep_build_cache`. Raises BuildError, ValueError for an unknown name.
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
    """Directory with the sources of `module` at the version `component` pins (manifests live there), downloaded if need be.

    BuildError when the Go toolchain cannot provide it.
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
