"""Invalid resources, settings files and flags: does each message say what is wrong, where, and what to do?"""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import yaml

from benchmarks.chaos.bed import Bed, Operator, operator, started
from concertmaster import cli
from testbed.process import TemporaryDirectory

CHECKLIST = Path(__file__).with_name("mistakes.yaml")
ROOT = CHECKLIST.parents[2]
PARTS = ("what", "where", "do")
SOURCE = "sources: [{name: default, url: 'http://prometheus:9090'}]"
FACTS = ROOT / "examples" / "facts" / "demo.jsonl.gz"
PATIENCE = 420.0  # seconds for the operator to report what the schema cannot check; takes two cycles

Entry = Mapping[str, Any]


def checklist() -> dict[str, list[dict[str, Any]]]:
    """The entries by the place where they are tested."""
    found: dict[str, list[dict[str, Any]]] = yaml.safe_load(CHECKLIST.read_text())
    return found


def missing(entry: Entry, said: str) -> list[str]:
    """Which of what, where and what to do is missing in a message; a traceback lacks all of them."""
    if "Traceback" in said:
        return list(PARTS)
    return [part for part in PARTS if str(entry[part]) not in said]


def in_process(arguments: list[str]) -> str:
    """Output of the command line, called in process; a message on success counts as none."""
    out, before = io.StringIO(), sys.argv
    sys.argv = ["concertmaster", *arguments]
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(out):
            cli.main()
    except SystemExit as end:
        return out.getvalue() if end.code else ""
    finally:
        sys.argv = before
    return ""


def as_process(arguments: list[str]) -> str:
    """Output of the command line, called as a process."""
    answer = subprocess.run(
        [sys.executable, "-m", "concertmaster", *arguments],
        capture_output=True, text=True, timeout=300, check=False, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "operator"), "KUBECONFIG": "/nowhere"},
    )  # fmt: skip
    return answer.stdout + answer.stderr if answer.returncode else ""


def settings(entry: Entry, place: Path, call: Callable[[list[str]], str]) -> str:
    """The message for a settings file."""
    file = place / "config.yaml"
    file.write_text(str(entry["file"]).replace("SRC", SOURCE) + "\n")
    return call(["check-config", str(file)])


def flags(entry: Entry, place: Path, call: Callable[[list[str]], str]) -> str:
    """The message for a command line."""
    nowhere, config = place / "kubeconfig", place / "right.yaml"
    config.write_text(SOURCE)
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    nowhere.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
                "users": [{"name": "u", "user": {"token": "x"}}],
                "contexts": [context],
                "current-context": "c",
            }
        )
    )
    words = {"FACTS": str(FACTS), "CONFIG": str(config), "NOWHERE": str(nowhere)}
    return call([words.get(word, word) for word in shlex.split(str(entry["call"]))])


def resource(entry: Entry, bed: Bed) -> str:
    """The response of the API server to kubectl; nothing is stored."""
    document = {"apiVersion": "concertmaster.dev/v1alpha1", "kind": entry["kind"], "metadata": {"name": "mistaken"}}
    text = json.dumps({**document, **({"spec": entry["spec"]} if "spec" in entry else {})})
    answer = bed.cluster.run_kubectl("create", "--validate=strict", "--dry-run=server", "-f", "-", input=text)
    return answer.stderr if answer.returncode else ""


def plant(entries: list[dict[str, Any]], bed: Bed) -> None:
    """Create the resources that the schema accepts and the operator must report, each in its own namespace."""
    for n, entry in enumerate(entries):
        bed.namespace(f"mistake-{n}")
        for document in entry["objects"]:
            meta = {"name": document.get("name", "mistaken"), "namespace": f"mistake-{n}"}
            api = {"apiVersion": "concertmaster.dev/v1alpha1"} if "apiVersion" not in document else {}
            bed.cluster.apply({**api, **{k: v for k, v in document.items() if k != "name"}, "metadata": meta})


def conditions(number: int, entry: Entry, bed: Bed) -> str:
    """All messages in the status of the resource."""
    name = ("-n", f"mistake-{number}", "get", entry["see"], entry.get("name", "mistaken"), "-o", "json")
    answer = bed.cluster.run_kubectl(*name)
    item = json.loads(answer.stdout) if answer.returncode == 0 else {}
    found = (item.get("status") or {}).get("conditions") or ()
    return "\n".join(f"{c['type']}={c['status']} {c['reason']}: {c['message']}" for c in found)


def measure(seed: int = 1) -> dict[str, Any]:
    """Run the campaign. It is deterministic: ``seed`` only exists for uniformity."""
    listed, rows = checklist(), []

    def judge(part: str, entry: Entry, said: str) -> None:
        lacks = missing(entry, said)
        rows.append({"part": part, "mistake": entry["mistake"], "lacks": lacks, "said": said.strip()[-400:]})
        if lacks:
            print(f"  {part}: {entry['mistake']}: lacks {lacks}: {said.strip()[-300:]}", flush=True)

    with TemporaryDirectory("concertmaster-mistakes-") as place:
        for entry in listed["settings"]:
            judge("settings", entry, settings(entry, place, as_process))
        for entry in listed["flags"]:
            judge("flags", entry, flags(entry, place, as_process))
    with started(discover=[{"apiVersion": "batch/v1", "kind": "CronJob"}]) as bed:
        for entry in listed["resources"]:
            judge("resources", entry, resource(entry, bed))
        plant(listed["conditions"], bed)
        with operator(bed, name="mistakes") as op:
            _settle(op, lambda: not any(missing(e, conditions(n, e, bed)) for n, e in enumerate(listed["conditions"])))
            for number, entry in enumerate(listed["conditions"]):
                judge("conditions", entry, conditions(number, entry, bed))
    lacking = [row for row in rows if row["lacks"]]
    return {
        "tried": dict(Counter(row["part"] for row in rows)),
        "lacking": {part: sum(part in row["lacks"] for row in rows) for part in PARTS},
        "silent": sum(not row["said"] for row in rows),
        "which": [f"{row['part']}: {row['mistake']}" for row in lacking],
    }


def _settle(op: Operator, said: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not said() and time.monotonic() < end and op.process.running:
        time.sleep(2.0)


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The section of the page."""
    tried = found["tried"]
    yield f"### Bad input: {sum(tried.values())} mistakes"
    yield ""
    parts = ", ".join(f"{count} {part}" for part, count in tried.items())
    lacks = ", ".join(f"{part} {count}" for part, count in found["lacking"].items())
    yield f"Tried: {parts} (`benchmarks/chaos/mistakes.yaml`). Messages that lack: {lacks}; no message: {found['silent']}."
    for name in found["which"]:
        yield f"- {name}"
