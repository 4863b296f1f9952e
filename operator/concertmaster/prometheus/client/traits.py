"""What a source is like, as queries have found out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class SourceTraits:
    """What queries have found out about a source. ``listed_interval``: seconds between two samples, by its list of targets.
    ``sampled_interval``: the same of the container with most samples, asked at ``sampled_at``. ``unphased``: the newest
    moment at which pods were found without a phase. ``each_cpu``: CPU time of containers is counted for each CPU.
    ``moved``: a scrape moved the labels of all pods. Moments are unix seconds."""

    listed_interval: float | None = None
    sampled_interval: float | None = None
    sampled_at: float = 0.0
    unphased: float | None = None
    each_cpu: bool = False
    moved: bool = False

    def update(self, other: SourceTraits) -> None:
        """Take over what another client of the source has found out, as far as it is newer."""
        self.listed_interval, self.each_cpu, self.moved = other.listed_interval, other.each_cpu, other.moved
        if other.sampled_interval is not None and other.sampled_at >= self.sampled_at:
            self.sampled_interval, self.sampled_at = other.sampled_interval, other.sampled_at
        if other.unphased is not None:
            self.unphased = max(other.unphased, self.unphased or other.unphased)
