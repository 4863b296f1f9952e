"""``dashboard`` without a cluster: an analysis made now."""

from __future__ import annotations

import time
from pathlib import Path

from concertmaster.cli.commands.explore.dashboard import examined
from concertmaster.cli.gather import from_file
from concertmaster.web.workflow import WorkflowView

FACTS = Path(__file__).resolve().parents[5] / "examples" / "facts" / "demo.jsonl.gz"


def test_commands_of_recorded_facts_ask_no_operator() -> None:
    """None need be there: as in what ``analyze`` prints, the next step stands in their place."""
    reader = examined(from_file(FACTS), None, ["--facts", "demo.jsonl.gz"])
    items = {}
    for profile in reader.view.profiles:
        document, problem = reader.detail(profile)
        items |= {i["id"]: i for i in WorkflowView(profile, document, problem, (), time.time()).items}
    assert items["io-bound.fetch"]["how"] == "concertmaster what-if sra-search --facts demo.jsonl.gz --scale fetch=0.5"
    assert [i for i in items.values() if i["how"].startswith("kubectl concertmaster")] == []
    assert [i["id"] for i in items.values() if not (i["how"] or i["why"])] == []
