"""The proxy's own metrics: counted in plain integers on the hot path, turned into Prometheus' types when scraped."""

from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from services.gateway.view_feed import ViewFeed

_BOUNDS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ProxyMetrics(Collector):
    """Requests by route and status class, their durations, and the view's age. Labels are bounded: never a key or path."""

    def __init__(self, feed: ViewFeed) -> None:
        self._feed = feed
        self._counts: dict[tuple[str, int], int] = {}
        self._buckets: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}
        REGISTRY.register(self)

    def observe(self, route: str | None, status: int, seconds: float) -> None:
        """Count an answer."""
        name = route or ""
        key = (name, status // 100)
        self._counts[key] = self._counts.get(key, 0) + 1
        buckets = self._buckets.get(name)
        if buckets is None:
            buckets = self._buckets[name] = [0] * (len(_BOUNDS_SECONDS) + 1)
            self._sums[name] = 0.0
        buckets[bisect_left(_BOUNDS_SECONDS, seconds)] += 1
        self._sums[name] += seconds

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        requests = CounterMetricFamily(
            "gateway_requests", "Answers by route and status class.", labels=("route", "status")
        )
        for (route, status), count in list(self._counts.items()):
            requests.add_metric((route, f"{status}xx"), count)
        yield requests
        durations = HistogramMetricFamily(
            "gateway_request_seconds", "Time from a request to its answer.", labels=("route",)
        )
        for route, buckets in list(self._buckets.items()):
            total = 0
            rows = []
            for bound, count in zip((*_BOUNDS_SECONDS, "+Inf"), buckets, strict=True):
                total += count
                rows.append((str(bound), total))
            durations.add_metric((route,), rows, self._sums[route])
        yield durations
        age = self._feed.age_seconds
        yield GaugeMetricFamily(
            "gateway_view_age_seconds", "Age of the view.", value=age if age != float("inf") else -1
        )
