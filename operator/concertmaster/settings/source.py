"""What the operator has to know of a metrics source, as a typed model.

Credentials never stand in it. They are named by file path and read by whoever needs them, at the moment they are
needed, so that a rotated token is picked up and neither a log line nor a ``repr`` can hold one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator
from pydantic.alias_generators import to_camel

from concertmaster.core.model import LabelRequirement
from concertmaster.core.model.scalars import Duration
from concertmaster.core.units import GIB, HOUR, MIB
from concertmaster.engines.registry import OWNER_KINDS
from concertmaster.settings import checks

_SENSITIVE_HEADERS = {"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"}

_DNS = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_LABEL = r"^[a-zA-Z_][a-zA-Z0-9_]{0,127}$"
_HEADER = r"^[A-Za-z0-9-]{1,64}$"
_USER = r"^[^\x00-\x1f:]{1,256}$"
_KIND = r"^[A-Z][A-Za-z0-9]{0,62}$"
_LABEL_KEY = r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
MAIL_ADDRESS = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?$"
PATTERNS = {
    _DNS: "must be lower-case letters, digits and -, at most 63, beginning and ending with a letter or digit",
    _LABEL: "must be a label name: letters, digits and _, not beginning with a digit",
    _HEADER: "must be a header name: letters, digits and -",
    _USER: "must be a user name of one line without a colon",
    _KIND: "must be a kind as Kubernetes writes it, for example Job",
    MAIL_ADDRESS: "must be an e-mail address, without a display name",
    _LABEL_KEY: "must be the key of a label, for example team or example.com/team",
}

DnsName = Annotated[str, StringConstraints(pattern=_DNS)]
LabelName = Annotated[str, StringConstraints(pattern=_LABEL)]
MatchedValue = Annotated[str, StringConstraints(max_length=256)]
HeaderName = Annotated[str, StringConstraints(pattern=_HEADER)]
FilePath = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class Section(BaseModel):
    """Common ground: camelCase in the file, unknown fields refused, values frozen, inputs never echoed."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )


class BasicAuth(Section):
    """HTTP basic authentication; the password stands in a file."""

    username: Annotated[str, StringConstraints(pattern=_USER)] = Field(description="User name.")
    password_file: FilePath = Field(description="File holding the password; read again when it changes.")


class Auth(Section):
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


class Tls(Section):
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


class Header(Section):
    """One extra request header: a literal value or a file that holds it."""

    value: str | None = Field(None, max_length=1024, repr=False, description="Literal value; not for credentials.")
    value_file: FilePath | None = Field(None, description="File holding the value; re-read when it changes.")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"value": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.value is None) == (self.value_file is None):
            raise ValueError("set exactly one of value and valueFile")
        if self.value is not None:
            checks.header_value(self.value)
        return self


class NamespaceSelector(Section):
    """Which namespaces may use a source, by their labels; empty selects all."""

    match_labels: dict[Annotated[str, StringConstraints(pattern=_LABEL_KEY)], str] = Field(
        default_factory=dict, description="Labels that must be equal."
    )

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        return all(LabelRequirement(k, "In", (v,)).met_by(labels.get(k)) for k, v in self.match_labels.items())


POD_LABEL_PREFIX = "label_"
STATE_LABELS = (
    "namespace", "pod", "uid", "node", "container", "image", "image_spec", "created_by_kind", "created_by_name", "phase",
    "reason", "resource", "condition", "job_name", "owner_kind", "owner_name", POD_LABEL_PREFIX,
)  # fmt: skip
USAGE_LABELS = ("namespace", "pod", "container", "id", "interface", "device")


class LabelNames(Section):
    """What a store that relabels calls the labels of its series, by the names their exporters give them. Left out: as
    the exporters name them."""

    state_metrics: dict[LabelName, LabelName] = Field(
        default_factory=dict,
        description="Labels of kube-state-metrics, for example {namespace: exported_namespace, pod: exported_pod}; label_ "
        "is the prefix of exported pod labels.",
    )
    container_metrics: dict[LabelName, LabelName] = Field(
        default_factory=dict,
        description="Labels of cAdvisor's series, for example {pod: pod_name, container: container_name}.",
    )
    user_metrics: dict[LabelName, LabelName] = Field(
        default_factory=dict,
        description="Labels of the series that user queries read; queries are confined by namespace.",
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        checks.label_names("stateMetrics", self.state_metrics, STATE_LABELS)
        checks.label_names("containerMetrics", self.container_metrics, USAGE_LABELS)
        checks.label_names("userMetrics", self.user_metrics, ("namespace",))
        return self


class MetricsSource(Section):
    """One metrics source that speaks the Prometheus HTTP API."""

    name: DnsName = Field(
        description='Name by which policies refer to it in metricsSource; "default" applies when they name none.'
    )
    url: str = Field(
        max_length=2048,
        description="Base URL including any path prefix, without /api/v1; for example http://prometheus.monitoring:9090.",
    )
    auth: Auth = Field(Auth(), description="Authentication.")
    tls: Tls = Field(Tls(), description="Certificates.")
    headers: dict[HeaderName, Header] = Field(
        default_factory=dict, max_length=32, description="Extra request headers, for example X-Scope-OrgID."
    )
    query_params: dict[str, str] = Field(
        default_factory=dict,
        max_length=32,
        description='Extra parameters of every query, for example {partial_response: "false", dedup: "true"} (Thanos).',
    )
    extra_matchers: dict[LabelName, MatchedValue] = Field(
        default_factory=dict,
        max_length=16,
        description="Label values every series must have. Needed where a source holds several clusters: {cluster: prod-1}.",
    )
    namespace_selector: NamespaceSelector = Field(
        NamespaceSelector(), description="Namespaces that may use this source."
    )
    labels: LabelNames = Field(LabelNames(), description="Names of labels where the metrics source relabels them.")
    per_metric_queries: bool = Field(
        False, description="Do not match metric names by regular expression, which some managed services reject."
    )
    owner_kinds: tuple[Annotated[str, StringConstraints(pattern=_KIND)], ...] = Field(
        OWNER_KINDS,
        min_length=1,
        max_length=32,
        description="Kinds of controllers whose pods are runs of workflows. Graph profiles add pods by label.",
    )
    scrape_interval: Duration | None = Field(
        None,
        description="Scrape interval of container usage. Default: as listed by /api/v1/targets of the source, else "
        "estimated from the samples.",
    )
    delay_seconds: int = Field(
        60,
        ge=0,
        le=3600,
        description="Seconds until all samples of a pod that ended have arrived; queries for ended pods end that long "
        "before the present. With less than 60, pods are read again until their last samples must be there.",
    )
    timeout_seconds: float = Field(30, gt=0, le=600, description="Time limit of one attempt of one query.")
    deadline_seconds: float = Field(90, gt=0, le=1800, description="Time limit of one query with all its attempts.")
    max_concurrent_queries: int = Field(
        4,
        ge=1,
        le=64,
        description="Largest number of queries at a time; shards share it, each has at least one.",
    )
    max_elements: int = Field(50_000, ge=100, le=1_000_000, description="Largest number of series one answer may have.")
    max_response_bytes: int = Field(64 * MIB, ge=65_536, le=GIB, description="Maximum size of a response, in bytes.")

    @property
    def longest_seconds(self) -> float:
        """Seconds after which a query has ended in any case: an answer may stall when its time is nearly over."""
        return self.deadline_seconds + self.timeout_seconds

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
        if "/api/v1" in parts.path:
            raise ValueError("leave out /api/v1 and what follows: it is added to every request")
        return url.rstrip("/")

    @field_validator("scrape_interval")
    @classmethod
    def _scrape_interval(cls, interval: Duration | None) -> Duration | None:
        if interval is not None:
            checks.between(interval.seconds, 1, HOUR, "between 1s and 1h, or left out")
        return interval

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        checks.header_names(self.headers)
        for name, header in self.headers.items():
            if name.lower() in _SENSITIVE_HEADERS and header.value is not None:
                raise ValueError(f"headers.{name} holds a credential: put it into a file and name it in valueFile")
        checks.parameters(self.query_params)
        checks.matchers(self.extra_matchers)
        if self.deadline_seconds < self.timeout_seconds:
            raise ValueError(
                f"deadlineSeconds ({self.deadline_seconds:g}) is below timeoutSeconds ({self.timeout_seconds:g}): not one "
                "attempt fits; raise deadlineSeconds, best to three times timeoutSeconds"
            )
        return self


def credential_files(source: MetricsSource) -> list[str]:
    """Every file the source names."""
    paths = [source.auth.bearer_token_file, source.tls.ca_file, source.tls.cert_file, source.tls.key_file]
    if source.auth.basic is not None:
        paths.append(source.auth.basic.password_file)
    paths += [header.value_file for header in source.headers.values()]
    return [path for path in paths if path is not None]
