"""The file that carries recorded facts from ``concertmaster record`` to ``analyze --facts``: JSON lines, gzip by choice.

One line, one thing, so that a file of any size is read and written in little memory and a broken line can be named. The
last line counts what came before it: a file that was cut off says so instead of passing for a quieter week. The
format is described for other programs in docs/facts-format.md.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from concertmaster.core.model import AnswerFact, JobFact, PodFact
from concertmaster.core.units import MIB
from concertmaster.prometheus.facts.facts_codec import CodecError, decode, encode

FORMAT = "concertmaster-facts"
VERSION = 1
MAX_LINE_BYTES = 8 * MIB  # bytes; a Kubernetes object is at most 1.5 MiB

Item = dict[str, Any] | JobFact | PodFact | AnswerFact
_FACTS: Mapping[str, type[JobFact | PodFact | AnswerFact]] = {"pod": PodFact, "job": JobFact, "answer": AnswerFact}

_T = TypeVar("_T")


class FactsFileError(ValueError):
    """A facts file that cannot be read or written: file, line, what is wrong, what to do."""


@dataclass(frozen=True, slots=True)
class FactsSpan:
    """From ``since`` to ``until``, unix seconds."""

    since: float
    until: float


@dataclass(frozen=True, slots=True)
class FactsHeader:
    """The first line: the span the facts cover (unix seconds) and where they come from, for people."""

    since: float
    until: float
    source: str = ""
    recorded: float | None = None
    namespaces: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # what was missing while recording
    blind: tuple[FactsSpan, ...] = ()  # spans of which the metrics source had nothing at all


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole file in memory. ``objects`` are Kubernetes objects as the API gives them."""

    header: FactsHeader
    objects: tuple[dict[str, Any], ...] = ()
    jobs: tuple[JobFact, ...] = ()
    facts: tuple[PodFact, ...] = ()
    answers: tuple[AnswerFact, ...] = ()


def write(
    path: str | Path,
    header: FactsHeader,
    objects: Iterable[Mapping[str, Any]],
    facts: Iterable[PodFact],
    jobs: Iterable[JobFact] = (),
    answers: Iterable[AnswerFact] = (),
) -> int:
    """Write a file (gzip when its name ends in .gz) in one step: an interrupted run leaves no half file.

    Returns the number of pods. Raises FactsFileError.
    """
    target = Path(path)
    counts = {"objects": 0, "jobs": 0, "pods": 0}
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise FactsFileError(f"{target}: cannot be written ({error.strerror}). Choose a writable folder.") from None
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as raw, _packed(raw, target) as out:
            _put(out, {"format": FORMAT, "version": VERSION, **encode(header)})
            for one in objects:
                _put(out, {"object": _object(one)})
                counts["objects"] += 1
            for job in jobs:
                _put(out, {"job": encode(job)})
                counts["jobs"] += 1
            for fact in facts:
                _put(out, {"pod": encode(fact)})
                counts["pods"] += 1
            for answer in answers:
                _put(out, {"answer": encode(answer)})
                counts["answers"] = counts.get("answers", 0) + 1
            _put(out, {"end": counts})
        temporary.chmod(0o644)
        temporary.replace(target)
    except CodecError as error:
        raise FactsFileError(f"{target}: cannot hold this fact: {error}.") from None
    except OSError as error:
        raise FactsFileError(
            f"{target}: cannot be written ({error.strerror}). Free space or choose another folder."
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
    return counts["pods"]


def read(path: str | Path) -> Recording:
    """Read a whole file. Raises FactsFileError."""
    header, items = stream(path)
    objects: list[dict[str, Any]] = []
    jobs: list[JobFact] = []
    facts: list[PodFact] = []
    answers: list[AnswerFact] = []
    for item in items:
        if isinstance(item, PodFact):
            facts.append(item)
        elif isinstance(item, AnswerFact):
            answers.append(item)
        elif isinstance(item, JobFact):
            jobs.append(item)
        else:
            objects.append(item)
    return Recording(header, tuple(objects), tuple(jobs), tuple(facts), tuple(answers))


def stream(path: str | Path) -> tuple[FactsHeader, Iterator[Item]]:
    """The header and the items one after the other, in the order of the file. Raises FactsFileError, also later."""
    source = Path(path)
    lines = _lines(source)
    number, first = next(lines, (1, None))
    if not isinstance(first, dict) or first.get("format") != FORMAT:
        raise FactsFileError(f"{source}, line {number}: is not a facts file. Write one with concertmaster record.")
    if first.get("version") != VERSION:
        raise FactsFileError(
            f"{source}, line {number}: has version {first.get('version')!r} of the format, this program reads version"
            f" {VERSION}. Use the version of concertmaster that wrote it, or record again."
        )
    header = _fact(FactsHeader, first, f"{source}, line {number}", "header")
    return header, _items(source, lines)


def _items(source: Path, lines: Iterator[tuple[int, Any]]) -> Iterator[Item]:
    counts = {"objects": 0, "jobs": 0, "pods": 0}
    number = 1
    for number, line in lines:
        where = f"{source}, line {number}"
        if not isinstance(line, dict) or len(line) != 1:
            raise FactsFileError(f"{where}: must be an object with one key of object, job, pod, answer, end.")
        ((kind, content),) = line.items()
        if kind == "end":
            if content != counts:
                raise FactsFileError(
                    f"{where}: counts {content}, the file holds {counts}. Lines are lost; record again."
                )
            extra = next(lines, None)
            if extra is not None:
                raise FactsFileError(
                    f"{source}, line {extra[0]}: there is more after the end. Join recordings by analyzing them one by one."
                )
            return
        yield _item(kind, content, where)
        counts[f"{kind}s"] = counts.get(f"{kind}s", 0) + 1
    raise FactsFileError(
        f"{source}, line {number}: the file stops here without its end line: it was cut off. Record again."
    )


def _item(kind: str, content: Any, where: str) -> Item:
    if kind == "object":
        if not isinstance(content, dict) or not isinstance(content.get("kind"), str):
            raise FactsFileError(f"{where}: object has no kind. It must be a Kubernetes object.")
        return content
    if kind not in _FACTS:
        raise FactsFileError(f"{where}: has the unknown key {kind!r}; known are object, job, pod, answer, end.")
    return _fact(_FACTS[kind], content, where, kind)


def _lines(source: Path) -> Iterator[tuple[int, Any]]:
    number = 0
    try:
        with source.open("rb") as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            with cast(io.BufferedIOBase, gzip.open(raw)) if packed else raw as file:
                while line := file.readline(MAX_LINE_BYTES + 1):
                    number += 1
                    if len(line) > MAX_LINE_BYTES:
                        raise FactsFileError(f"{source}, line {number}: is longer than {MAX_LINE_BYTES} bytes.")
                    if line.strip():
                        yield number, _parsed(line, f"{source}, line {number}")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FactsFileError(
            f"{source}, after line {number}: is damaged gzip ({error}). Copy or record it again."
        ) from None
    except OSError as error:
        raise FactsFileError(
            f"{source}: cannot be read ({error.strerror or error}). Give the path of a facts file."
        ) from None


def _parsed(line: bytes, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise FactsFileError(f"{where}: is not JSON ({str(error)[:100]}). Record again.") from None


@contextmanager
def _packed(raw: IO[bytes], target: Path) -> Iterator[IO[bytes]]:
    if target.suffix != ".gz":
        yield raw
        return
    # No time and no name in the gzip header: equal facts make equal files.
    with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as packed:
        yield cast(IO[bytes], packed)


def _fact(cls: type[_T], content: Any, where: str, kind: str) -> _T:
    try:
        return decode(cls, content, kind)
    except CodecError as error:
        raise FactsFileError(f"{where}: {error}. Correct it or record again.") from None


def _put(out: IO[bytes], content: Mapping[str, Any]) -> None:
    out.write(json.dumps(content, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n")


def _object(document: Mapping[str, Any]) -> dict[str, Any]:
    """A Kubernetes object without the bookkeeping that doubles its size; a Secret is refused."""
    if document.get("kind") == "Secret":
        raise FactsFileError("A Secret must not be recorded: leave it out of the objects.")
    metadata = dict(document.get("metadata") or {})
    metadata.pop("managedFields", None)
    annotations = {
        key: text
        for key, text in (metadata.pop("annotations", None) or {}).items()
        if key != "kubectl.kubernetes.io/last-applied-configuration"
    }
    if annotations:
        metadata["annotations"] = annotations
    return {**document, "metadata": metadata}
