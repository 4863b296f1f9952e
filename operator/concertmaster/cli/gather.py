"""Facts for the command line: from a Prometheus given by URL, or from a recorded file; definitions from YAML files."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from concertmaster import settings
from concertmaster.cli import answers
from concertmaster.cli.errors import UserError
from concertmaster.cli.policies import Policies
from concertmaster.core.model import AnswerFact, JobFact, PodFact
from concertmaster.core.text import listing, plain
from concertmaster.core.units import WEEK
from concertmaster.engines.define import define_all
from concertmaster.engines.label_keys import labels_in_use
from concertmaster.engines.registry import CLUSTER_KINDS, by_object
from concertmaster.engines.yaml_documents import check

if TYPE_CHECKING:
    from concertmaster.prometheus.collect.collection import Collection
    from concertmaster.prometheus.facts.missing_series import MissingSeries

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is nine times as fast, where it is there
_MAX_NAMED = 5  # files of a directory that are no objects


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read: pods and Jobs of a span (unix seconds), Kubernetes objects, and sentences on what is missing."""

    since: float
    until: float
    pods: tuple[PodFact, ...]
    jobs: tuple[JobFact, ...]
    objects: tuple[Mapping[str, Any], ...]
    missing: tuple[str, ...]
    answers: tuple[AnswerFact, ...] = ()
    # Spans of which the metrics source has nothing: not seen, rather than quiet.
    blind: tuple[tuple[float, float], ...] = ()


def progress(text: str) -> None:
    """A line on stderr for people; nothing when stderr is not a terminal."""
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{plain(text)}", err=True, nl=False)


def from_prometheus(
    source: settings.MetricsSource,
    *,
    namespaces: Sequence[str],
    window: float,
    objects: Sequence[Mapping[str, Any]],
    now: float | None,
) -> Facts:
    """All pods of runs that ended in the last ``window`` seconds. Raises UserError."""
    from concertmaster.prometheus.client import PrometheusClient
    from concertmaster.prometheus.client.errors import MetricsError
    from concertmaster.prometheus.collect import source_traits
    from concertmaster.prometheus.collect.reading import CollectOptions, backfill

    until = time.time() if now is None else now
    policies = Policies(objects)
    definitions = [
        replace(d, priced_by_node=policies.of(d).pricing.by_node)
        for d in define_all(objects, cluster_namespaces=namespaces)
    ]
    labels = labels_in_use(definitions, undeclared=True)
    # Shorter readings go through the metrics source's index more often.
    options = CollectOptions(run_labels=labels.run_keys, nodes=labels.nodes, longest=WEEK)
    read = _Read()
    try:
        with PrometheusClient(source) as client:
            source_traits.learn_interval(client, until)
            read.explain(source_traits.series_labels(client, until, None).findings)
            for chunk in backfill(
                client,
                namespaces=namespaces,
                since=until - window,
                until=until,
                now=until,
                label_keys=labels.keys,
                options=options,
            ):
                read.add(chunk)
                done = (until - chunk.since) / window
                progress(f"reading {source.url}: {min(1.0, done):.0%} of the window, {len(read.pods)} pods")
            asking = [(d, policies.metrics(d)) for d in definitions]
            reported, problems = answers.ask(client, asking, until - window, until)
    except MetricsError as error:
        raise UserError(str(error)) from None
    finally:
        progress("")
    return Facts(
        until - window,
        until,
        tuple(read.pods.values()),
        tuple(read.jobs.values()),
        tuple(objects),
        tuple(read.missing | dict.fromkeys(problems)),
        tuple(reported),
        tuple(reversed(read.blind)),
    )


@dataclass
class _Read:
    """What the chunks of a window hold together; ``missing`` in the order in which it was noticed."""

    pods: dict[str, PodFact] = field(default_factory=dict)
    jobs: dict[tuple[str, str], JobFact] = field(default_factory=dict)
    missing: dict[str, None] = field(default_factory=dict)
    blind: list[tuple[float, float]] = field(default_factory=list)
    explained: set[str] = field(default_factory=set)

    def explain(self, findings: Mapping[str, MissingSeries]) -> None:
        """Add findings about the source, each by the series whose absence it explains."""
        self.explained |= findings.keys()
        self.missing |= dict.fromkeys(str(m) for m in findings.values())

    def add(self, chunk: Collection) -> None:
        """Add what one chunk found."""
        self.pods |= {fact.uid: fact for fact in chunk.facts}
        self.jobs |= {(job.namespace, job.name): job for job in chunk.jobs}
        self.missing |= dict.fromkeys(str(m) for m in chunk.missing if m.series not in self.explained)
        self.blind += [(chunk.since, chunk.complete_until)] if chunk.blind else []


def from_file(path: Path, objects: Sequence[Mapping[str, Any]] = ()) -> Facts:
    """A recorded file; ``objects`` given beside it win over recorded ones. Raises UserError."""
    from concertmaster.prometheus.facts import facts_file

    try:
        recording = facts_file.read(path)
    except facts_file.FactsFileError as error:
        raise UserError(str(error)) from None
    header = recording.header
    merged = {_identity(o): o for o in (*recording.objects, *objects)}
    return Facts(
        header.since,
        header.until,
        recording.facts,
        recording.jobs,
        tuple(merged.values()),
        header.notes,
        recording.answers,
        tuple((span.since, span.until) for span in header.blind),
    )


def _identity(raw: Mapping[str, Any]) -> tuple[str, str, str]:
    meta = raw.get("metadata")
    meta = meta if isinstance(meta, Mapping) else {}
    return str(raw.get("kind")), str(meta.get("namespace", "default")), str(meta.get("name"))


def load_objects(paths: Sequence[Path], namespaces: Sequence[str] = ()) -> list[Mapping[str, Any]]:
    """Kubernetes objects of YAML files, of all below directories, or of stdin (``-``). Objects without a namespace are in
    the only one of ``namespaces``, as kubectl has it. Raises UserError.

    A directory of a repository also holds files for other tools: what is no object in it is left out, and named on stderr.
    """
    objects: list[Mapping[str, Any]] = []
    for path in paths:
        if not path.is_dir():
            objects += _documents(path)
            continue
        found, refused = 0, list[str]()
        for file in _below(path):
            try:
                objects += list(_documents(file))  # all or none
                found += 1
            except UserError as error:
                refused.append(str(error))
        if not found:
            raise UserError(refused[0] if refused else f"{path}: has no .yaml, .yml or .json file below it.")
        for why in refused[:_MAX_NAMED]:
            click.echo(plain(f"left out: {why}"), err=True)
        if len(refused) > _MAX_NAMED:
            click.echo(f"left out: {len(refused) - _MAX_NAMED} more files", err=True)
    return _placed(objects, namespaces)


def _below(path: Path) -> list[Path]:
    """Files that may hold objects, outside hidden directories (.git, .github)."""
    files = (p for p in path.rglob("*") if p.suffix in (".yaml", ".yml", ".json") and p.is_file())
    return sorted(p for p in files if not any(part.startswith(".") for part in p.relative_to(path).parts[:-1]))


def _placed(objects: list[Mapping[str, Any]], namespaces: Sequence[str]) -> list[Mapping[str, Any]]:
    """The objects, with the namespace of those that name none; says on stderr where that is a guess."""

    def lacks_namespace(raw: Mapping[str, Any]) -> bool:
        meta = raw.get("metadata")
        anywhere = raw.get("kind") in CLUSTER_KINDS or by_object(raw) is None
        return not anywhere and isinstance(meta, Mapping) and not meta.get("namespace")

    unplaced = [str(raw["metadata"].get("name")) for raw in objects if lacks_namespace(raw)]
    if len(namespaces) == 1:
        own = {"namespace": namespaces[0]}
        return [{**raw, "metadata": {**raw["metadata"], **own}} if lacks_namespace(raw) else raw for raw in objects]
    if unplaced:
        what = f"{listing(unplaced, 3)} {'names' if len(unplaced) == 1 else 'name'} no namespace"
        click.echo(plain(f"{what}: taken for the namespace default; give the one they run in with -n"), err=True)
    return objects


def _documents(file: Path) -> Iterator[Mapping[str, Any]]:
    try:
        text = sys.stdin.buffer.read().decode() if str(file) == "-" else file.read_text(encoding="utf-8")
        check(text, _LOADER)
        for raw in yaml.load_all(text, Loader=_LOADER):
            if isinstance(raw, Mapping) and raw.get("kind") == "List":
                yield from (o for o in raw.get("items") or () if isinstance(o, Mapping))
            elif isinstance(raw, Mapping) and raw.get("kind") and raw.get("apiVersion"):
                yield raw
            elif raw is not None:
                raise UserError(f"{file}: a document is no Kubernetes object: it needs apiVersion and kind")
    except OSError as error:
        raise UserError(
            f"{file}: cannot be read ({error.strerror or error}). Give a YAML file or a directory of them."
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"{file}: is not UTF-8 text. Save it as UTF-8.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{file}, line {mark.line + 1}" if mark is not None else str(file)
        raise UserError(f"{place}: is not valid YAML: {getattr(error, 'problem', error)}. Correct it.") from None
    except (ValueError, AttributeError) as error:  # of what looks like a date or a number and is none
        raise UserError(
            f"{file}: a value is not what it looks like ({error}). If it is text, put it in quotes."
        ) from None
