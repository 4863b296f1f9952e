"""The operator's configuration: one YAML file, read once at start."""

from concertmaster.settings.archive import ArgoArchiveSettings, TektonResultsSettings
from concertmaster.settings.history import HistorySettings
from concertmaster.settings.load import SettingsError, load, parse, schema
from concertmaster.settings.model import Settings
from concertmaster.settings.receiver import Receiver
from concertmaster.settings.source import MetricsSource

__all__ = [
    "ArgoArchiveSettings",
    "HistorySettings",
    "MetricsSource",
    "Receiver",
    "Settings",
    "SettingsError",
    "TektonResultsSettings",
    "load",
    "parse",
    "schema",
]
