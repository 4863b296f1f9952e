"""Changes over time: since when a step or workflow is slower, how much, and whether it is still getting worse."""

from concertmaster.core.changes.detect import detect
from concertmaster.core.changes.model import ChangePoint, Changes, Direction, Ramp

__all__ = ["ChangePoint", "Changes", "Direction", "Ramp", "detect"]
