"""Changes over time: since when a step or workflow is slower, how much, why, and whether it is still getting worse."""

from concertmaster.core.changes.coincidence import Coincidence, coincidences
from concertmaster.core.changes.detect import detect
from concertmaster.core.changes.model import ChangePoint, Changes, Direction, Ramp
from concertmaster.core.changes.origin import Origin, OriginKind, origins
from concertmaster.core.changes.outlook import Outlook, OutlookState, outlook

__all__ = [
    "ChangePoint",
    "Changes",
    "Coincidence",
    "Direction",
    "Origin",
    "OriginKind",
    "Outlook",
    "OutlookState",
    "Ramp",
    "coincidences",
    "detect",
    "origins",
    "outlook",
]
