"""Changes over time: since when a step or workflow is slower, how much, why, and whether it is still getting worse."""

from concertmaster.core.changepoint.coincidence import Coincidence, coincidences
from concertmaster.core.changepoint.detect import detect
from concertmaster.core.changepoint.model import ChangePoint, Detection, Direction, Ramp
from concertmaster.core.changepoint.origin import Origin, OriginKind, origins
from concertmaster.core.changepoint.outlook import ObjectiveForecast, OutlookState, outlook

__all__ = [
    "ChangePoint",
    "Coincidence",
    "Detection",
    "Direction",
    "ObjectiveForecast",
    "Origin",
    "OriginKind",
    "OutlookState",
    "Ramp",
    "coincidences",
    "detect",
    "origins",
    "outlook",
]
