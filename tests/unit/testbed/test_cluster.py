"""The client's side of the test bed: what is tried again."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.services.cluster import Cluster, KubectlError

REFUSED = "Error from server (Invalid): spec is wrong"
BUSY = "Error from server (Timeout): Timeout: request did not complete within requested timeout"
BARE = "error: conditions accessor error"


def cluster(directory: Path, said: str, failures: int) -> Cluster:
    """One whose kubectl fails so many times."""
    count = directory / "count"
    count.write_text("")
    kubectl = directory / "kubectl"
    kubectl.write_text(
        f'#!/bin/sh\necho >> {count}\nif [ "$(wc -l < {count})" -gt {failures} ]; then echo done\n'
        f"else echo '{said}' >&2; exit 1; fi\n"
    )
    kubectl.chmod(0o755)
    return Cluster(directory, "https://127.0.0.1:1", kubectl, {"admin": "t"}, kubectl)


def test_what_a_busy_server_did_not_finish_is_applied_again(tmp_path: Path) -> None:
    assert cluster(tmp_path, BUSY, 2).apply({"kind": "CustomResourceDefinition"}) == "done\n"
    assert cluster(tmp_path, BARE, 2).kubectl("wait", "pod/a") == "done\n"


def test_what_is_refused_is_not_tried_again(tmp_path: Path) -> None:
    for said, arguments in (
        (REFUSED, ("apply", "--server-side")),
        (BUSY, ("create",)),
        (BARE, ("apply", "--server-side")),
    ):
        with pytest.raises(KubectlError):
            cluster(tmp_path, said, 1).kubectl(*arguments)
        assert (tmp_path / "count").read_text() == "\n"
