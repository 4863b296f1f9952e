"""The only access to a metrics source: the only package that imports prometheus_api_client and requests."""

from concertmaster.prometheus.client.prometheus import PrometheusClient
from concertmaster.prometheus.client.traits import SourceTraits

__all__ = ["PrometheusClient", "SourceTraits"]
