"""Which API server, and as whom: kubeconfig or service account, and what another client needs of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client import Configuration
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config

from concertmaster.kube.errors import NoConnection


@dataclass(frozen=True, slots=True, repr=False)
class Connection:
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


def connection_of(config: Configuration) -> Connection:
    """The present credentials; a rotated token file or an expired login is read again."""
    header: str | None = config.get_api_key_with_prefix("BearerToken") or config.get_api_key_with_prefix(
        "authorization"
    )
    scheme, _, token = header.partition(" ") if header and " " in header else ("Bearer", "", header or "")
    return Connection(
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


def load_configuration(kubeconfig: Path | None = None) -> Configuration:
    """The client configuration of ``kubeconfig``, of the pod, or of the user; NoConnection says what was tried."""
    configuration = Configuration()
    in_pod: Any = load_incluster_config
    from_file: Any = load_kube_config
    try:
        if kubeconfig is None and os.environ.get("KUBERNETES_SERVICE_HOST") and not os.environ.get("KUBECONFIG"):
            in_pod(client_configuration=configuration)
        else:
            from_file(
                config_file=str(kubeconfig) if kubeconfig else None,
                client_configuration=configuration,
                persist_config=False,
            )
    except (ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        where = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG") or "~/.kube/config"
        raise NoConnection(
            f"no connection to a cluster: {where}: {one_line(error)}; inside a pod mount a service account token, "
            "outside set KUBECONFIG to a valid file"
        ) from error
    return configuration


def one_line(error: BaseException) -> str:
    """One line without the object addresses that transport errors carry."""
    text = str(getattr(error, "reason", None) or error).strip() or type(error).__name__
    return " ".join(text.split())[:300]
