"""``python -m benchmarks.nested --data directory``, part of `make bench`: write nested scores to benchmarks/results."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.nested import calibration
from benchmarks.nested.choose import nested
from benchmarks.nested.measures import all_measures, scores
from benchmarks.nested.plot import svg
from benchmarks.nested.report import RESULT, lines

# Part of the names of measures that need traces; without any, earlier scores are kept.
OF_TRACES = ", traces"


def replaced(
    before: Sequence[Mapping[str, Any]], kept: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Rows of measures, those ``kept`` and those ``found`` now, in the order they had ``before``; new ones follow."""
    now = {row["name"]: row for row in (*kept, *found)}
    names = dict.fromkeys([*(row["name"] for row in before), *now])
    return [now[name] for name in names if name in now]


def main() -> int:
    """Score all measures, or the selected ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory with the data sets and their scorers")
    parser.add_argument(
        "--only", nargs="+", default=[], help="words of the names of measures; the others stay as they are"
    )
    parser.add_argument(
        "--traces", type=Path, help="directory with traces of Nextflow, see benchmarks/nested/traces.py"
    )
    options = parser.parse_args()
    before = json.loads(RESULT.read_text()) if RESULT.is_file() else {"scores": [], "promises": []}
    found = []
    for measure in all_measures(options.data.resolve(), options.traces):
        if options.only and not any(word in measure.name for word in options.only):
            continue
        of_variants = scores(measure)
        found.append(asdict(nested(measure.name, of_variants, measure.figure)))
        print(measure.name)
        for family, rows in next(iter(of_variants.values())).items():
            print(f"    {family:24s} {measure.figure.of([rows]):.4g} @ {measure.figure.side([rows]):.3g}")
        for variant, by_family in of_variants.items():
            every = [by_family[family] for family in sorted(by_family)]
            print(f"  {variant:22s} {measure.figure.of(every):.4g} @ {measure.figure.side(every):.3g}")
    kept = [row for row in before["scores"] if options.only or (OF_TRACES in row["name"] and not options.traces)]
    result: dict[str, Any] = {"scores": replaced(before["scores"], kept, found), "promises": before["promises"]}
    if not options.only or "promises" in options.only:
        result["promises"] = calibration.promises(options.data.resolve())
        RESULT.with_name("calibration.svg").write_text(svg(result["promises"]))
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print("\n".join(lines(result)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
