"""Which API server, and as whom: kubeconfig or service account, and what another client needs of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client import Configuration
from kubernetes.config import ConfigException, list_kube_config_contexts, load_incluster_config, load_kube_config

from concertmaster.core import text
from concertmaster.kube.errors import NoConnection

# What the package's loader ends in, depending on what is wrong with the file.
_UNREADABLE = (
    ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, yaml.YAMLError,
)  # fmt: skip


@dataclass(frozen=True, slots=True, repr=False)
class ApiConnection:
    """What another client needs to reach the same server with the same identity. Never printed: it holds a token."""

    server: str
    ca_file: str | None
    verify: bool
    scheme: str | None
    token: str | None
    certificate_file: str | None
    key_file: str | None
    username: str | None
    password: str | None

    def __repr__(self) -> str:
        return f"Connection(server={self.server!r})"


def connection_of(config: Configuration) -> ApiConnection:
    """The present credentials; a rotated token file or an expired login is read again."""
    header: str | None = config.get_api_key_with_prefix("BearerToken") or config.get_api_key_with_prefix(
        "authorization"
    )
    scheme, _, token = header.partition(" ") if header and " " in header else ("Bearer", "", header or "")
    return ApiConnection(
        server=str(config.host),
        ca_file=config.ssl_ca_cert,
        verify=bool(config.verify_ssl),
        scheme=scheme if token else None,
        token=token or None,
        certificate_file=config.cert_file,
        key_file=config.key_file,
        username=config.username or None,
        password=config.password or None,
    )


def current_namespace(kubeconfig: Path | None, context: str | None) -> str | None:
    """The namespace of the kubeconfig's context, as kubectl would use it; None when it names none or cannot be read."""
    contexts, active = _contexts(kubeconfig)
    chosen = next((c for c in contexts if c["name"] == context), None) if context else active
    return str((chosen or {}).get("context", {}).get("namespace") or "") or None


def _contexts(kubeconfig: Path | None) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The contexts of the kubeconfig and the current one; none where it cannot be read."""
    listed: Any = list_kube_config_contexts
    try:
        contexts, active = listed(config_file=str(kubeconfig) if kubeconfig else None)
    except _UNREADABLE:
        return [], None
    return contexts, active


def load_configuration(kubeconfig: Path | None, context: str | None) -> Configuration:
    """The client configuration of ``kubeconfig`` (and its ``context``), of the pod, or of the user; NoConnection says what
    was tried."""
    configuration = Configuration()
    in_pod: Any = load_incluster_config
    from_file: Any = load_kube_config
    try:
        named = kubeconfig is not None or context is not None or bool(os.environ.get("KUBECONFIG"))
        if os.environ.get("KUBERNETES_SERVICE_HOST") and not named:
            in_pod(client_configuration=configuration)
        else:
            from_file(
                config_file=str(kubeconfig) if kubeconfig else None,
                context=context,
                client_configuration=configuration,
                persist_config=False,
            )
    except _UNREADABLE as error:
        where = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG") or "~/.kube/config"
        known = sorted(c["name"] for c in _contexts(kubeconfig)[0])
        if context and known and context not in known:
            hint = text.meant(context, known, f"it has {text.listing(known)}")
            raise NoConnection(f"{where} has no context {context}: {hint}") from error
        raise NoConnection(
            f"no connection to a cluster: {where}: {one_line(error).rstrip('.')}; inside a pod mount a service account"
            " token, outside set KUBECONFIG to a valid file"
        ) from error
    return configuration


def one_line(error: BaseException) -> str:
    """One line without the object addresses that transport errors carry."""
    words = str(getattr(error, "reason", None) or error).strip() or type(error).__name__
    return " ".join(words.split())[:300]
