"""The operator's configuration: one YAML file, read once at start."""

from concertmaster.settings.history import History
from concertmaster.settings.load import SettingsError, load, parse, schema
from concertmaster.settings.model import ClusterTemplateOwner, Limits, Listen, Settings
from concertmaster.settings.receiver import Receiver
from concertmaster.settings.source import Auth, BasicAuth, Header, NamespaceSelector, Source, Tls

__all__ = [
    "Auth",
    "BasicAuth",
    "ClusterTemplateOwner",
    "Header",
    "History",
    "Limits",
    "Listen",
    "NamespaceSelector",
    "Receiver",
    "Settings",
    "SettingsError",
    "Source",
    "Tls",
    "load",
    "parse",
    "schema",
]
