"""The operator's configuration: one YAML file, read once at start."""

from concertmaster.settings.archive import ArgoArchiveSettings, TektonResultsSettings
from concertmaster.settings.history import HistorySettings
from concertmaster.settings.load import SettingsError, load, parse, schema
from concertmaster.settings.model import ClusterTemplateOwner, Limits, Listen, Settings
from concertmaster.settings.receiver import Receiver
from concertmaster.settings.source import Auth, BasicAuth, Header, MetricsSource, NamespaceSelector, Tls

__all__ = [
    "ArgoArchiveSettings",
    "Auth",
    "BasicAuth",
    "ClusterTemplateOwner",
    "Header",
    "HistorySettings",
    "Limits",
    "Listen",
    "MetricsSource",
    "NamespaceSelector",
    "Receiver",
    "Settings",
    "SettingsError",
    "TektonResultsSettings",
    "Tls",
    "load",
    "parse",
    "schema",
]
