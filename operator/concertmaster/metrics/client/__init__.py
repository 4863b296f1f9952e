"""The one door to a metrics store: the only package that imports prometheus_api_client and requests."""

from concertmaster.metrics.client.prometheus import PrometheusClient, StoreInfo, Target
from concertmaster.metrics.client.retry import Breaker, RetryPolicy

__all__ = ["Breaker", "PrometheusClient", "RetryPolicy", "StoreInfo", "Target"]
