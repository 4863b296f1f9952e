"""Options that several commands share, handed to them as a few small values."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import click
import yaml

from concertmaster import settings
from concertmaster.cli.errors import CallError, UserError
from concertmaster.cli.gather import Facts, from_file, from_prometheus, load_objects
from concertmaster.core import text
from concertmaster.core.model.scalars import Duration
from concertmaster.core.times import format_duration, iso, parse_time
from concertmaster.core.units import DAY

F = TypeVar("F", bound=Callable[..., Any])


WINDOW = 14 * DAY
_GIVEN, _OPTION = "the given options", {"url": "--prometheus", "extraMatchers": "--matcher"}  # by field of a source


def namespaces(what: str, default: str) -> Callable[[F], F]:
    """The option ``-n a,b`` or ``-n a -n b``, each namespace once. ``what`` and ``default`` are for the help text."""
    return click.option(
        "-n",
        "--namespace",
        "namespaces",
        multiple=True,
        callback=lambda _, __, given: text.names(given),
        help=f"{what}; several as -n a,b or -n a -n b. Default: {default}.",
    )


def duration(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """A click callback: ``14d`` to seconds."""
    if value is None:
        return None
    try:
        seconds = float(Duration(value).seconds)
    except ValueError as error:
        raise click.BadParameter(f"{error}; write it as 14d, 36h or 90m") from None
    if seconds <= 0:
        raise click.BadParameter("must be longer than zero")
    return seconds


def moment(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """A click callback: RFC 3339 to unix seconds."""
    if value is None:
        return None
    try:
        seconds = parse_time(value)
    except ValueError:
        raise click.BadParameter("write it as 2026-11-16T09:00:00Z") from None
    if seconds < 0:  # a period before it could begin before the first year that can be written
        raise click.BadParameter("must not be before 1970")
    return seconds


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """The options by which a command names its metrics source."""

    url: str | None
    config: Path | None
    source_name: str
    bearer_token_file: str | None
    ca_file: str | None
    matchers: tuple[str, ...]

    @property
    def named(self) -> bool:
        """Whether they name one at all."""
        return bool(self.url or self.config)

    def arguments(self) -> list[str]:
        """What the options were called with."""
        named = [("prometheus", self.url), ("config", self.config), ("source", self.config and self.source_name)]
        named += [("bearer-token-file", self.bearer_token_file), ("ca-file", self.ca_file)]
        named += [("matcher", matcher) for matcher in self.matchers]
        return [part for name, value in named if value is not None for part in (f"--{name}", str(value))]

    def find(self) -> settings.MetricsSource:
        """The source. Raises UserError or a usage error with what to change."""
        if (self.url is None) == (self.config is None):
            raise click.UsageError("give --prometheus URL, or --config FILE with --source NAME")
        try:
            if self.config is not None:
                source = settings.load(self.config).source(self.source_name)
                if source is None:
                    raise UserError(f"{self.config} has no source named {self.source_name}")
                return source
            pairs = dict(m.split("=", 1) for m in self.matchers if "=" in m)
            if len(pairs) != len(self.matchers):
                raise click.UsageError("--matcher is written LABEL=VALUE")
            document: dict[str, Any] = {"name": "default", "url": self.url, "extraMatchers": pairs}
            if self.bearer_token_file:
                document["auth"] = {"bearerTokenFile": self.bearer_token_file}
            if self.ca_file:
                document["tls"] = {"caFile": self.ca_file}
            source = settings.parse(yaml.safe_dump({"sources": [document]}), name=_GIVEN).source("default")
            assert source is not None
            return source
        except settings.SettingsError as error:
            problem = UserError if self.config is not None else CallError  # of a file, or of a value of the call
            raise problem(
                re.sub(rf"{_GIVEN}: sources\[0\]\.(\w+)[^:]*", lambda m: _OPTION.get(m[1], m[0]), str(error))
            ) from None


def gathered(kind: type[Any], keyword: str, command: F, offered: Sequence[Callable[[Any], Any]]) -> F:
    """Adds the options ``offered`` and hands what a dataclass takes of all of them to the command as one value of it."""

    @functools.wraps(command)
    def call(**values: Any) -> Any:
        made = kind(**{f.name: values.pop(f.name) for f in fields(kind)})
        return command(**{keyword: made}, **values)

    for option in reversed(offered):
        call = option(call)
    return cast("F", call)


def source_options(command: F) -> F:
    """Adds the options and hands them to the command as ``source``."""
    return gathered(
        SourceOptions,
        "source",
        command,
        (
            click.option("--prometheus", "url", metavar="URL", help="Base URL of a Prometheus, Thanos, Mimir ..."),
            click.option(
                "--config",
                "config",
                type=click.Path(dir_okay=False, path_type=Path),
                help="Operator configuration to take the source from, with --source.",
            ),
            click.option(
                "--source", "source_name", default="default", show_default=True, help="Name of the source in --config."
            ),
            click.option("--bearer-token-file", type=click.Path(dir_okay=False), help="File with a token for the URL."),
            click.option("--ca-file", type=click.Path(dir_okay=False), help="Certificate authority of the URL."),
            click.option(
                "--matcher",
                "matchers",
                multiple=True,
                metavar="LABEL=VALUE",
                help="Label every series must have, as cluster=prod-1.",
            ),
        ),
    )


@dataclass(frozen=True, slots=True)
class SpanOptions:
    """The options that say what to examine: namespaces, definitions and a window (seconds; None: the policy's) that
    ends at ``until``."""

    namespaces: tuple[str, ...]
    definitions: tuple[Path, ...]
    window: float | None
    until: float | None

    def arguments(self) -> list[str]:
        """What the options were called with."""
        named = [("namespace", name) for name in self.namespaces]
        named += [("definitions", str(path)) for path in self.definitions]
        named += [("window", format_duration(self.window))] if self.window is not None else []
        named += [("until", str(iso(self.until)))] if self.until is not None else []
        return [part for name, value in named for part in (f"--{name}", value)]

    def objects(self) -> list[Mapping[str, Any]]:
        """The Kubernetes objects of the definition files. Raises UserError."""
        return load_objects(self.definitions, self.namespaces)

    def ask(self, source: settings.MetricsSource, objects: Sequence[Mapping[str, Any]]) -> Facts:
        """The facts of the span from a metrics source. Raises UserError."""
        return from_prometheus(
            source, namespaces=self.namespaces, window=self.window or WINDOW, objects=objects, now=self.until
        )


def span_options(command: F, *, everywhere: str = "all") -> F:
    """Adds the options and hands them to the command as ``span``. ``everywhere``: the namespaces without ``-n``, for the
    help text."""
    return gathered(
        SpanOptions,
        "span",
        command,
        (
            namespaces("Only this namespace", everywhere),
            click.option(
                "--definitions",
                multiple=True,
                type=click.Path(path_type=Path),
                help="YAML file, directory of them or - (stdin) with workflows, profiles and policies; may be given again.",
            ),
            click.option(
                "--window", callback=duration, help="Period to analyze. Default: as the policy says, else 14d."
            ),
            click.option("--until", metavar="TIME", callback=moment, help="End of the window. Default: now."),
        ),
    )


@dataclass(frozen=True, slots=True)
class FactsOptions:
    """The options by which a command takes facts from a file, or from a metrics source over a span."""

    facts_file: Path | None
    source: SourceOptions
    span: SpanOptions

    @property
    def named(self) -> bool:
        """Whether they name a file or a source at all."""
        return self.facts_file is not None or self.source.named

    def arguments(self) -> list[str]:
        """With what another command reads the same facts."""
        facts = ["--facts", str(self.facts_file)] if self.facts_file is not None else self.source.arguments()
        return [*facts, *self.span.arguments()]

    def read(self) -> Facts:
        """Facts from the file, or else from the source. Raises UserError."""
        file, source, span = self.facts_file, self.source, self.span
        if not self.named:
            raise click.UsageError("give --facts FILE, --prometheus URL, or --config FILE with --source NAME")
        if file is None:
            facts = span.ask(source.find(), span.objects())
        elif source.named:
            raise click.UsageError("give either --facts or a Prometheus, not both")
        else:
            facts = from_file(file, span.objects())
        if span.until is not None and span.until < facts.until:
            ended = tuple(p for p in facts.pods if (p.finished or p.last_seen or 0.0) <= span.until)
            facts = replace(facts, pods=ended, until=span.until)
        if span.namespaces:
            facts = replace(
                facts,
                pods=tuple(p for p in facts.pods if p.namespace in span.namespaces),
                objects=tuple(o for o in facts.objects if _namespace(o) in (None, *span.namespaces)),
            )
        return facts


def facts_options(command: F, *, everywhere: str = "all") -> F:
    """Adds the options and hands them to the command as ``facts``. ``everywhere``: as of ``span_options``."""
    file = click.option(
        "--facts",
        "facts_file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="File written by concertmaster record, instead of a metrics source or a cluster.",
    )
    call = gathered(FactsOptions, "facts", command, (file,))
    return source_options(span_options(call, everywhere=everywhere))


def _namespace(raw: Mapping[str, Any]) -> object:
    """None for what belongs to the whole cluster."""
    meta = raw.get("metadata")
    if str(raw.get("kind", "")).startswith("Cluster") or not isinstance(meta, Mapping):
        return None
    return meta.get("namespace", "default")
