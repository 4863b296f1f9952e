"""``python -m benchmarks.chaos [CAMPAIGN ...]``: run campaigns and write their results."""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from benchmarks.chaos import histories, mistakes, noisy, poison, stores
from benchmarks.chaos.loopfaults import admission, kills, lease, silence, stopping
from benchmarks.chaos.report import RESULT
from concertmaster.kube.nesting import allow_deep_documents

CAMPAIGNS: dict[str, Callable[[int], dict[str, Any]]] = {
    "poison": poison.measure,
    "noisy": noisy.measure,
    "stores": stores.measure,
    "histories": histories.measure,
    "mistakes": mistakes.measure,
    "admission": admission.measure,
    "lease": lease.measure,
    "kills": kills.measure,
    "stop": stopping.measure,
    "silence": silence.measure,
}


def main() -> int:
    """Run campaigns; each replaces its own part of the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("campaigns", nargs="*", choices=[*CAMPAIGNS, []], metavar="CAMPAIGN", help=", ".join(CAMPAIGNS))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for name in options.campaigns or CAMPAIGNS:
        begun = time.monotonic()
        print(f"{name} (seed {options.seed})", flush=True)
        found = CAMPAIGNS[name](options.seed) | {"seed": options.seed, "took_s": round(time.monotonic() - begun)}
        print(json.dumps(found, indent=1), flush=True)
        known = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
        RESULT.write_text(json.dumps(dict(sorted((known | {name: found}).items())), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    allow_deep_documents()  # the hostile objects are nested deeper than the stack of the main thread allows
    ended: list[int] = []
    worker = threading.Thread(target=lambda: ended.append(main()))
    worker.start()
    worker.join()
    sys.exit(ended[0] if ended else 1)
