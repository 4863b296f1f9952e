"""Sources of components that the Go module proxy does not serve: archives provided by the user through environment
variables."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

from testbed.process import TestbedError


@dataclass(frozen=True, slots=True)
class Archive:
    """A source archive (tar) with one top-level directory. `variable` is the environment variable with the path of the
    file, `digest` the SHA-256 of its go.mod followed by its go.sum, independent of the packing; `origin` says where to
    get it."""

    variable: str
    digest: str
    origin: str


def given(archive: Archive) -> Path | None:
    """The archive that the user provided; None if the variable is not set."""
    named = os.environ.get(archive.variable)
    return Path(named).expanduser() if named else None


def unpack(archive: Archive, cache: Path, name: str) -> Path:
    """The directory with the sources, unpacked below `cache` the first time; the caller holds the component's lock.

    Raises TestbedError if there is no archive, or if it does not match the pinned digest.
    """
    target = cache / "sources" / f"{name}-{archive.digest[:16]}"
    if target.exists():
        return target
    file = given(archive)
    if file is None:
        raise TestbedError(
            f"{name} is built from an archive of its sources: set {archive.variable} to one ({archive.origin})"
        )
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        with tarfile.open(file) as packed:
            packed.extractall(partial, filter="data")
        (top,) = partial.iterdir()
        digest = hashlib.sha256((top / "go.mod").read_bytes() + (top / "go.sum").read_bytes()).hexdigest()
        if digest != archive.digest:
            raise TestbedError(f"{file} holds other sources of {name} than the pinned ones ({archive.origin})")
        top.rename(target)
    except (OSError, tarfile.TarError, ValueError) as error:
        raise TestbedError(f"the sources of {name} cannot be read from {file}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target
