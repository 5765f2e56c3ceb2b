"""How far behind a projection is, for Prometheus; labels are the service and the projection only."""

import time
from datetime import datetime

from prometheus_client import Counter, Gauge

_LABELS = ("service", "projection")
_applied = Counter("projection_events_applied", "Events that were applied.", _LABELS)
_parked = Counter("projection_messages_parked", "Messages that went to the dead letter stream.", _LABELS)
_lag = Gauge("projection_lag_messages", "Messages that wait to be applied.", _LABELS)
_age = Gauge(
    "projection_age_seconds", "Age of the newest applied message when it was applied; 0 when caught up.", _LABELS
)
_stopped = Gauge("projection_stopped", "1 when the projection stopped at an event that it cannot apply.", _LABELS)


class ProjectionMetrics:
    """The metrics of one projection."""

    def __init__(self, service: str, projection: str) -> None:
        self.parked = _parked.labels(service, projection)
        self.stopped = _stopped.labels(service, projection)
        self._applied = _applied.labels(service, projection)
        self._lag = _lag.labels(service, projection)
        self._age = _age.labels(service, projection)
        self.lag_messages = 0
        self.age_seconds = 0.0

    def applied(self, count: int, *, lag: int, stored_at: datetime | None) -> None:
        """Note a committed batch."""
        self._applied.inc(count)
        self.lag_messages = lag
        self.age_seconds = max(0.0, time.time() - stored_at.timestamp()) if stored_at else 0.0
        self._lag.set(lag)
        self._age.set(self.age_seconds)

    def caught_up(self) -> None:
        """Note that nothing waits."""
        self.lag_messages = 0
        self.age_seconds = 0.0
        self._lag.set(0)
        self._age.set(0)
