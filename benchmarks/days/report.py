"""The section of benchmarks/RESULTS.md on needs that change from day to day."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parents[1] / "results" / "days.json"


def lines(result: Mapping[str, Any]) -> list[str]:
    """The latest result of `make bench-days`, as lines of the page."""
    nested = result["nested"]
    low, high = nested["interval"]
    pairs = [f"{nested[of][0]:.3g} @ {nested[of][1]:.3g}" for of in ("shipped", "best", "nested")]
    return [
        "",
        "## Memory and CPU that change from day to day (`make bench-days`)",
        "",
        f"{result['seeds']} workflows of each family: a run every 15 minutes to two hours, 4 to 14 days known, the"
        " newest 200 runs analysed and the largest of each day, requests of 1.5 to 8 times the largest known peak."
        " What `right-size` proposes is compared with the runs of as many days to come. Above: of all later runs,"
        " those that need more memory than is requested then [90% interval over families, of one family over its"
        " cases]; max + 15%: if the largest known peak plus 15% were requested. Promised: the share of the later runs"
        " for which the text promises `at most 1% of later attempts run out of memory`, while growing peaks stay below"
        " the size only until the date it names; broken: of these, those above the size; bad: workflows in which that"
        " is more than 2% of all later runs. Sizes (where lowered) are divided by the largest later peak, and by the"
        " smallest size that keeps the promise. CPU: how much longer later runs take, and the request over their"
        " largest use.",
        "",
        "| family | lowered | above [90%] | max + 15% | promised | broken | bad | size / largest | / best | max + 15% / best"
        " | longer | CPU / largest |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
        *(_line(row) for row in (*result["families"], *result["groups"])),
        "",
        f"Constants chosen on the other families ({nested['variants']} variants of how long growth by day goes on and when"
        f" one step explains it; {nested['unit']}, also where nothing is lowered): shipped {pairs[0]}, best {pairs[1]},"
        f" nested {pairs[2]} [{low:.3g} {high:.3g}].",
    ]


def _line(row: Mapping[str, Any]) -> str:
    low, high = row["interval"]
    return (
        f"| {row['name']} ({row['what']}) | {row['lowered']:.0f}% | {row['above']:.2f}% [{low:.2f} {high:.2f}]"
        f" | {row['peer']:.2f}% | {row['promised']:.0f}% | {row['broken']:.2f}% | {row['bad']:.0f}%"
        f" | {row['to_largest']:.2f} | {row['to_best']:.2f} | {row['peer_to_best']:.2f} | {row['longer']:.1f}%"
        f" | {row['cores']:.2f} |"
    )
