"""Files of other projects that the pages bring along, pinned by version and digest: browsers check the digest too.

uPlot (MIT licence, in static/uplot.LICENSE) draws the trend that can be zoomed. It is 51 KB, needs nothing else, and sets
styles by properties alone, which the policy of the pages allows. The files are those of the npm package, in its ``dist``.
"""

from __future__ import annotations

VERSION = "1.6.32"
INTEGRITY = {
    "uplot.min.js": "sha384-Gx3t0zdBAuQOuvvmaLZj7HKEiSgWTAs+VdtNY7wt19QDPTDQjFIwAuXDj0zeN00c",
    "uplot.min.css": "sha384-IfV0B7MIOYuO95kO9G5ySKPz/85zqFNOAs8iy4tkK5zd9izhJAB8b7lHrwYqqmYE",
}
