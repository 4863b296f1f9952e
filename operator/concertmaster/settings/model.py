"""The operator's configuration as a typed model; its sources are in ``settings.source``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field, field_validator

from concertmaster.core.model.enums import ReceiverFormat
from concertmaster.core.model.scalars import Duration, MemoryQuantity
from concertmaster.core.units import DAY, HOUR
from concertmaster.settings import checks
from concertmaster.settings.archive import ArgoArchiveSettings, TektonResultsSettings
from concertmaster.settings.history import HistorySettings
from concertmaster.settings.receiver import Receiver, receiver_files
from concertmaster.settings.source import DnsName, FilePath, MetricsSource, Section, credential_files


class Listen(Section):
    """Where probes, /metrics and the read-only HTTP API listen."""

    address: str = Field("0.0.0.0", description='Address to bind; "127.0.0.1" keeps it inside the pod.', max_length=64)
    port: int = Field(8080, ge=1, le=65535, description="TCP port.")

    _address = field_validator("address")(checks.address)


class ClusterTemplateOwner(Section):
    """The one namespace whose profile may do more than recommend for a cluster-wide template."""

    name: str = Field(min_length=1, max_length=253, description="Name of the ClusterWorkflowTemplate.")
    namespace: DnsName = Field(description="Namespace whose profile and policy own it.")


class Limits(Section):
    """Bounds on what one operator process does."""

    backfill: Duration = Field(Duration("14d"), description="Time span of the first analysis of a namespace.")
    backfill_per_cycle: Duration = Field(
        Duration("2d"),
        description="Part of the backfill that one cycle reads, newest first, so that first recommendations appear early.",
    )
    status_writes_per_second: int = Field(
        50, ge=1, le=1000, description="Largest number of statuses written per second."
    )
    changes_per_minute: int = Field(
        6, ge=1, le=600, description="Largest number of workflow definitions changed per namespace and minute."
    )
    extra_queries_per_cycle: int = Field(
        100,
        ge=0,
        le=10_000,
        description="Maximum number of user queries (extraMetrics, durationQuery) per cycle, shared by all namespaces.",
    )

    history_per_namespace: MemoryQuantity = Field(
        MemoryQuantity("1Gi"),
        description="What the runs of one namespace may take of the history; beyond it older ones of the workflows that "
        "take most are deleted. Daily rows and changes stay.",
    )

    @field_validator("backfill")
    @classmethod
    def _backfill(cls, span: Duration) -> Duration:
        checks.between(span.seconds, HOUR, 400 * DAY, "between 1h and 400d; the history keeps no more")
        return span

    @field_validator("backfill_per_cycle")
    @classmethod
    def _backfill_per_cycle(cls, span: Duration) -> Duration:
        checks.between(span.seconds, HOUR, 400 * DAY, "between 1h and 400d; less never reaches the past")
        return span


class Settings(Section):
    """The whole file."""

    interval: Duration = Field(Duration("5m"), description="Time from the start of one cycle to the start of the next.")
    history_path: FilePath = Field(
        "/var/lib/concertmaster/history.db", description="SQLite file of run records; its folder must be writable."
    )
    history: HistorySettings = Field(HistorySettings(), description="A database server in place of the file.")
    namespaces: tuple[DnsName, ...] = Field(
        (), max_length=1000, description="Namespaces the operator observes; empty: all it may read."
    )
    live: bool = Field(
        True,
        description="Read finished runs (Workflow, PipelineRun, Job) from their objects: edges, attempts, cache hits, "
        "exit codes. Needs list and watch on them, and list on taskruns and pods; false needs none of these rights.",
    )
    listen: Listen = Field(Listen(), description="Probes, metrics and the read-only HTTP API.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Minimum level of logged lines."
    )
    limits: Limits = Field(Limits(), description="Bounds on the operator's own work.")
    argo_template_referencing: Literal["Secure", "Other"] = Field(
        "Secure",
        description="Value of workflowRestrictions.templateReferencing of the Argo controller. With Secure (assumed, "
        "because it fails running workflows whose template changes) templates are changed only while none of their runs "
        "is active.",
    )
    argo_namespace: DnsName | None = Field(
        None,
        description="Namespace of the Argo controller, where it keeps its workflowDefaults and the caches of memoized "
        "steps. Empty: the former are not read, and caches from the namespace of each workflow.",
    )
    argo_archive: ArgoArchiveSettings = Field(
        ArgoArchiveSettings(), description="Argo's archive of Workflows, to read finished runs whose objects are gone."
    )
    tekton_results: TektonResultsSettings = Field(
        TektonResultsSettings(), description="Tekton Results, to read finished PipelineRuns whose objects are gone."
    )
    cluster_template_owners: tuple[ClusterTemplateOwner, ...] = Field(
        (),
        max_length=1000,
        description="Owners of cluster-wide templates: a namespace's own policies discover and change them only there.",
    )
    receivers: tuple[Receiver, ...] = Field(
        (),
        max_length=64,
        description="Receivers of notifications; policies refer to them by name in spec.notify, never by URL.",
    )
    sources: tuple[MetricsSource, ...] = Field(
        max_length=64,
        description="Metrics sources, at least one; profiles and policies refer to them by name, never by URL.",
    )

    @field_validator("sources", mode="before")
    @classmethod
    def _at_least_one(cls, sources: Any) -> Any:
        if isinstance(sources, list | tuple) and not sources:
            raise ValueError("name at least one metrics source: [{name: default, url: http://...}]")
        return sources

    _history_path = field_validator("history_path")(checks.history_path)

    @field_validator("interval")
    @classmethod
    def _interval(cls, interval: Duration) -> Duration:
        checks.between(interval.seconds, 10, 0x7FFFFFFF, "at least 10s, or the metrics source is queried without pause")
        checks.between(interval.seconds, 10, DAY, "at most 1d, or changes are verified and rolled back too late")
        return interval

    @field_validator("sources", "receivers", "cluster_template_owners")
    @classmethod
    def _named_once(cls, sources: tuple[Any, ...]) -> tuple[Any, ...]:
        checks.unique(one.name for one in sources)
        return sources

    @field_validator("namespaces")
    @classmethod
    def _listed_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        checks.unique(names)
        return names

    def source(self, name: str) -> MetricsSource | None:
        """The source of that name, or None."""
        return next((source for source in self.sources if source.name == name), None)

    def template_owners(self) -> dict[str, set[str]]:
        """The namespaces that own each cluster-wide template."""
        owners: dict[str, set[str]] = {}
        for owner in self.cluster_template_owners:
            owners.setdefault(owner.name, set()).add(owner.namespace)
        return owners

    def _files(self) -> Iterator[tuple[str, str]]:
        """Every file that is named, with the field that names it."""
        yield from ((f"sources.{s.name}: the file", path) for s in self.sources for path in credential_files(s))
        yield from ((f"receivers.{r.name}: the file", path) for r in self.receivers for path in receiver_files(r))
        yield from (("history.passwordFile", path) for path in (self.history.password_file,) if path is not None)
        yield from ((f"argoArchive.{name}", path) for name, path in self.argo_archive.files())
        yield from ((f"tektonResults.{name}", path) for name, path in self.tekton_results.files())

    def notes(self) -> list[str]:
        """What is allowed and still worth a second look, one sentence each: for ``check-config`` and the start's log."""
        texts = []
        if self.source("default") is None:
            texts.append('No source is named "default": every policy must name one in metricsSource.')
        for source in self.sources:
            plain = source.url.startswith("http://")
            if plain and (source.auth.basic or source.auth.bearer_token_file):
                texts.append(f"sources.{source.name} sends credentials over plain http; use https.")
            if source.tls.insecure_skip_verify:
                texts.append(f"sources.{source.name} accepts any certificate; set tls.caFile instead.")
        texts += [
            f"receivers.{receiver.name} gets unsigned messages; set signingKeyFile."
            for receiver in self.receivers
            if receiver.signing_key_file is None and receiver.format is ReceiverFormat.JSON
        ]
        texts += [f"{field} {path} cannot be read here." for field, path in self._files() if not Path(path).is_file()]
        if not PurePosixPath(self.history_path).is_absolute():
            texts.append("historyPath is relative: it depends on the folder the operator is started in.")
        if Path(self.history_path).is_dir():
            texts.append(f"historyPath {self.history_path} is a directory here: name a file in it.")
        outside = [o for o in self.cluster_template_owners if self.namespaces and o.namespace not in self.namespaces]
        texts += [
            f"clusterTemplateOwners names namespace {o.namespace} for {o.name}, which is not in namespaces: nobody owns it."
            for o in outside
        ]
        return texts
