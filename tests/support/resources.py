"""Resources of the kinds that the operator reads, for requests to an API server, real or in memory."""

from __future__ import annotations

from concertmaster.kube.objects import Resource, target_resource


def known_resource(api_version: str, kind: str) -> Resource:
    """The resource of a kind that an engine reads; fails for any other."""
    found = target_resource(api_version, kind)
    assert found is not None
    return found


CRONJOB = known_resource("batch/v1", "CronJob")
