"""What alerts tells Prometheus; labels are types, states and severities, never the name of a rule or a channel."""

from prometheus_client import Counter, Gauge

transitions = Counter("alert_transitions", "Changes of an alert's state.", ("transition", "severity", "notified"))
deliveries = Counter("alert_delivery_attempts", "Tries to send, by what became of them.", ("type", "outcome"))
queued = Gauge("alert_deliveries_queued", "Deliveries that wait to be sent.", ("type",))
filter_errors = Counter("alert_filter_errors", "Events that a rule's filter could not be evaluated on.", ("type",))
late_events = Counter("alert_late_events", "Events that came later than the allowed lateness.", ("projection",))
watermark_lag = Gauge("alert_watermark_lag_seconds", "How far the watermark is behind the clock.")
