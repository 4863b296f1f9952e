"""Changes over time: since when a step or workflow is slower, how much, why, and whether it is still getting worse."""

from concertmaster.core.changepoint.coincidence import Coincidence, coincidences
from concertmaster.core.changepoint.detect import detect
from concertmaster.core.changepoint.model import ChangePoint, Changes, Direction, Ramp
from concertmaster.core.changepoint.origin import Origin, OriginKind, origins
from concertmaster.core.changepoint.outlook import Outlook, OutlookState, outlook

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
