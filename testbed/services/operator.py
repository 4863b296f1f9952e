"""The operator as a process beside a test-bed cluster."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from testbed.ports import free_port
from testbed.process import Process, http_ok

_ROOT = Path(__file__).resolve().parents[2]
_RUN = ("concertmaster", "run", "--config")


def operator_settings(history: Path, prometheus: str, *, delay: float = 5, **more: Any) -> dict[str, Any]:
    """The operator's configuration: one metrics source, read ``delay`` seconds late, and a free port."""
    return {
        "historyPath": str(history),
        "listen": {"address": "127.0.0.1", "port": free_port()},
        "sources": [{"name": "default", "url": prometheus, "delaySeconds": delay}],
        **more,
    }


class OperatorProcess(Process):
    """The operator, not started yet; NAME.yaml and NAME.log are in ``directory``. ``module``: what runs it, with arguments
    that the configuration file follows; ``within``: the command line around its own."""

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, Any],
        kubeconfig: Path,
        *,
        name: str = "operator",
        environment: Mapping[str, str] | None = None,
        module: Sequence[str] = _RUN,
        within: Callable[[Sequence[str]], list[str]] = list,
    ) -> None:
        config = directory / f"{name}.yaml"
        config.write_text(json.dumps(settings))  # JSON is YAML
        paths = {"PYTHONPATH": f"{_ROOT / 'operator'}:{_ROOT}", "KUBECONFIG": str(kubeconfig)}
        command = within([sys.executable, "-m", *module, str(config)])
        super().__init__(name, command, log=directory / f"{name}.log", env=paths | dict(environment or {}))
        self.port = int(settings["listen"]["port"])

    def live(self, timeout: float = 2.0) -> bool:
        """Whether its liveness probe passes."""
        return http_ok(f"http://127.0.0.1:{self.port}/healthz", timeout=timeout)

    def start_live(self, timeout: float = 60.0) -> None:
        """Start it, and wait until its liveness probe passes."""
        self.start().wait_ready(self.live, timeout=timeout)
