"""Detection of changes over time: since when a step or workflow is slower, by how much, and whether it still degrades."""

from concertmaster.core.changepoint.detect import detect, detect_many
from concertmaster.core.changepoint.model import ChangePoint, Detection, Direction, Ramp
from concertmaster.core.changepoint.outlook import ObjectiveForecast, OutlookState, outlook
from concertmaster.core.changepoint.series import Series

__all__ = [
    "ChangePoint",
    "Detection",
    "Direction",
    "ObjectiveForecast",
    "OutlookState",
    "Ramp",
    "Series",
    "detect",
    "detect_many",
    "outlook",
]
