"""The operator's configuration as a typed model.

Credentials never stand in it. They are named by file path and read by whoever needs them, at the moment they are
needed, so that a rotated token is picked up and neither a log line nor a ``repr`` can hold one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator
from pydantic.alias_generators import to_camel

from concertmaster.api.scalars import Duration

_SENSITIVE_HEADERS = {"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"}

_DNS = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_LABEL = r"^[a-zA-Z_][a-zA-Z0-9_]{0,127}$"
_HEADER = r"^[A-Za-z0-9-]{1,64}$"
PATTERNS = {
    _DNS: "must be lower-case letters, digits and -, at most 63, beginning and ending with a letter or digit",
    _LABEL: "must be a label name: letters, digits and _, not beginning with a digit",
    _HEADER: "must be a header name: letters, digits and -",
}

DnsName = Annotated[str, StringConstraints(pattern=_DNS)]
LabelName = Annotated[str, StringConstraints(pattern=_LABEL)]
LabelValue = Annotated[str, StringConstraints(max_length=256)]
HeaderName = Annotated[str, StringConstraints(pattern=_HEADER)]
FilePath = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class _Section(BaseModel):
    """Common ground: camelCase in the file, unknown fields refused, values frozen, inputs never echoed."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )


class Listen(_Section):
    """Where probes, /metrics and the read-only HTTP API listen."""

    address: str = Field("0.0.0.0", description='Address to bind; "127.0.0.1" keeps it inside the pod.', max_length=64)
    port: int = Field(8080, ge=1, le=65535, description="TCP port.")


class BasicAuth(_Section):
    """HTTP basic authentication; the password stands in a file."""

    username: str = Field(min_length=1, max_length=256, description="User name.")
    password_file: FilePath = Field(description="File holding the password; read again when it changes.")


class Auth(_Section):
    """How to authenticate at a source: at most one of the two; neither means no authentication."""

    basic: BasicAuth | None = Field(None, description="User name and password.")
    bearer_token_file: FilePath | None = Field(
        None,
        description="File holding a bearer token, for example a projected service account token; re-read on change.",
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.basic is not None and self.bearer_token_file is not None:
            raise ValueError("set basic or bearerTokenFile, not both")
        return self


class Tls(_Section):
    """Certificates by file path."""

    ca_file: FilePath | None = Field(None, description="Certificate authority that signed the server's certificate.")
    cert_file: FilePath | None = Field(None, description="Client certificate (mutual TLS), with keyFile.")
    key_file: FilePath | None = Field(None, description="Key of the client certificate, with certFile.")
    insecure_skip_verify: bool = Field(False, description="Accept any server certificate. For test beds only.")

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("set certFile and keyFile together, or neither")
        return self


class Header(_Section):
    """One extra request header: a literal value or a file that holds it."""

    value: str | None = Field(None, max_length=1024, repr=False, description="Literal value; not for credentials.")
    value_file: FilePath | None = Field(None, description="File holding the value; re-read when it changes.")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, found: Any) -> Any:
        return {"value": found} if isinstance(found, str) else found

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.value is None) == (self.value_file is None):
            raise ValueError("set exactly one of value and valueFile")
        if self.value is not None and re.search(r"[\r\n\x00]", self.value):
            raise ValueError("a header value is one line of text")
        return self


class LabelSelector(_Section):
    """Which namespaces may use a source, by their labels; empty selects all."""

    match_labels: dict[str, str] = Field(default_factory=dict, description="Labels that must be equal.")

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        return all(labels.get(key) == value for key, value in self.match_labels.items())


class Source(_Section):
    """One metrics store that speaks the Prometheus HTTP API."""

    name: DnsName = Field(description='What policies call it in metricsSource; "default" is used when they name none.')
    url: str = Field(
        max_length=2048,
        description="Base URL including any path prefix, without /api/v1; for example http://prometheus.monitoring:9090.",
    )
    auth: Auth = Field(Auth(), description="How to authenticate.")
    tls: Tls = Field(Tls(), description="Certificates.")
    headers: dict[HeaderName, Header] = Field(
        default_factory=dict, max_length=32, description="Extra request headers, for example X-Scope-OrgID."
    )
    query_params: dict[str, str] = Field(
        default_factory=dict,
        max_length=32,
        description='Extra parameters of every query, for example {partial_response: "false", dedup: "true"} (Thanos).',
    )
    extra_matchers: dict[LabelName, LabelValue] = Field(
        default_factory=dict,
        max_length=16,
        description="Label values every series must have. Needed where one store holds several clusters: {cluster: prod-1}.",
    )
    namespace_selector: LabelSelector = Field(LabelSelector(), description="Namespaces that may use this source.")
    per_metric_queries: bool = Field(
        False, description="Never match metric names by regular expression; some managed stores refuse it."
    )
    owner_kinds: tuple[str, ...] = Field(
        ("Job", "TaskRun", "Workflow"),
        max_length=32,
        description="Kinds of controllers whose pods are runs of workflows. Graph profiles add pods by label.",
    )
    scrape_interval: Duration | None = Field(
        None, description="Interval at which container usage is scraped; estimated from the samples when left out."
    )
    delay_seconds: int = Field(
        60,
        ge=0,
        le=3600,
        description="How long a sample may take to arrive; the newest moment asked for lies that far back.",
    )
    timeout_seconds: float = Field(30, gt=0, le=600, description="Time limit of one attempt of one query.")
    deadline_seconds: float = Field(90, gt=0, le=1800, description="Time limit of one query with all its attempts.")
    max_elements: int = Field(50_000, ge=100, le=1_000_000, description="Largest number of series one answer may have.")
    max_response_bytes: int = Field(64 << 20, ge=65_536, le=1 << 30, description="Largest body that is read, in bytes.")

    @field_validator("url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            usable = (
                parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
            )
        except ValueError:
            usable = False
        if not usable or re.search(r"[\s\x00-\x1f]", url):
            raise ValueError("write it as http://host[:port][/prefix] or https://...")
        if "@" in parts.netloc:
            raise ValueError("no user or password inside the URL: use auth.basic with a passwordFile")
        if parts.query or parts.fragment:
            raise ValueError("no ? or # in the URL: extra parameters go to queryParams")
        if parts.path.rstrip("/").endswith("/api/v1"):
            raise ValueError("leave out /api/v1: it is added to every request")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _no_literal_secrets(self) -> Self:
        for name, header in self.headers.items():
            if name.lower() in _SENSITIVE_HEADERS and header.value is not None:
                raise ValueError(f"headers.{name} holds a credential: put it into a file and name it in valueFile")
        if {"query", "time", "start", "end", "step", "limit", "timeout"} & set(self.query_params):
            raise ValueError(
                "queryParams cannot set query, time, start, end, step, limit or timeout: the operator does"
            )
        if "namespace" in self.extra_matchers or "__name__" in self.extra_matchers:
            raise ValueError("extraMatchers cannot fix namespace or __name__: the operator sets both itself")
        return self


class ClusterTemplateOwner(_Section):
    """The one namespace whose profile may do more than recommend for a cluster-wide template."""

    name: str = Field(min_length=1, max_length=253, description="Name of the ClusterWorkflowTemplate.")
    namespace: DnsName = Field(description="Namespace whose profile and policy own it.")


class Limits(_Section):
    """Bounds on what one operator process does."""

    backfill: Duration = Field(Duration("14d"), description="How far back the first look at a namespace reaches.")
    backfill_per_cycle: Duration = Field(
        Duration("2d"), description="How much of that one cycle reads, newest first, so that first advice comes early."
    )
    status_writes_per_second: int = Field(20, ge=1, le=1000, description="Largest rate of writes to the API server.")
    changes_per_minute: int = Field(
        6, ge=1, le=600, description="Largest number of workflow definitions changed per namespace and minute."
    )
    extra_queries_per_cycle: int = Field(
        100,
        ge=0,
        le=10_000,
        description="Largest number of users' own queries (extraMetrics, durationQuery) per cycle.",
    )


class Settings(_Section):
    """The whole file."""

    interval: Duration = Field(Duration("5m"), description="Time from the start of one cycle to the start of the next.")
    history_path: FilePath = Field(
        "/var/lib/concertmaster/history.db", description="SQLite file of run records; its folder must be writable."
    )
    namespaces: tuple[DnsName, ...] = Field(
        (), max_length=1000, description="Namespaces the operator looks at; empty means all it may read."
    )
    live: bool = Field(
        True,
        description="Read finished runs (Workflow, PipelineRun, Job) from their objects: edges, attempts, cache hits, "
        "exit codes. Needs list and watch on them, and list on taskruns and pods; false needs none of these rights.",
    )
    listen: Listen = Field(Listen(), description="Probes, metrics and the read-only HTTP API.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe line logged.")
    limits: Limits = Field(Limits(), description="Bounds on the operator's own work.")
    argo_template_referencing: Literal["Secure", "Other"] = Field(
        "Secure",
        description="What workflowRestrictions.templateReferencing of the Argo controller says. With Secure (assumed, since "
        "it fails running workflows whose template changes) templates are changed only while none of their runs is active.",
    )
    cluster_template_owners: tuple[ClusterTemplateOwner, ...] = Field(
        (), max_length=1000, description="Owners of cluster-wide templates; others may only recommend."
    )
    sources: tuple[Source, ...] = Field(
        max_length=64, description="Metrics stores, at least one. Namespaced users name one, never a URL."
    )

    @field_validator("sources", mode="before")
    @classmethod
    def _at_least_one(cls, found: Any) -> Any:
        if isinstance(found, list | tuple) and not found:
            raise ValueError("name at least one metrics store: [{name: default, url: http://...}]")
        return found

    @field_validator("interval")
    @classmethod
    def _at_least_ten_seconds(cls, interval: Duration) -> Duration:
        if interval.seconds < 10:
            raise ValueError("at least 10s, or the metrics store is asked without pause")
        return interval

    @model_validator(mode="after")
    def _unique(self) -> Self:
        for what, names in (
            ("sources", [source.name for source in self.sources]),
            ("clusterTemplateOwners", [owner.name for owner in self.cluster_template_owners]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what} names {', '.join(twice)} more than once: names must be unique")
        return self

    def source(self, name: str) -> Source | None:
        """The source of that name, or None."""
        return next((source for source in self.sources if source.name == name), None)

    def notes(self) -> list[str]:
        """What is allowed and still worth a second look, one sentence each: for ``check-config`` and the start's log."""
        found = []
        if self.source("default") is None:
            found.append('No source is named "default": every policy must name one in metricsSource.')
        for source in self.sources:
            plain = source.url.startswith("http://")
            if plain and (source.auth.basic or source.auth.bearer_token_file):
                found.append(f"sources.{source.name} sends credentials over plain http; use https.")
            if source.tls.insecure_skip_verify:
                found.append(f"sources.{source.name} accepts any certificate; set tls.caFile instead.")
            found += [
                f"sources.{source.name} names the file {path}, which cannot be read here."
                for path in _files(source)
                if not Path(path).is_file()
            ]
        if not PurePosixPath(self.history_path).is_absolute():
            found.append("historyPath is relative: it depends on the folder the operator is started in.")
        return found


def _files(source: Source) -> list[str]:
    paths = [source.auth.bearer_token_file, source.tls.ca_file, source.tls.cert_file, source.tls.key_file]
    if source.auth.basic is not None:
        paths.append(source.auth.basic.password_file)
    paths += [header.value_file for header in source.headers.values()]
    return [path for path in paths if path is not None]
