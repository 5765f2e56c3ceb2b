"""What alerts owns on NATS: the stream that operators' programs subscribe to."""

from shared.bus import StreamSpec

# Consumers whose positions hold a purge back.
TRAFFIC_READERS = ("alerts-evaluate_traffic",)
EXTERNAL_READERS = ("alerts-evaluate_external",)
# The window of known ids is long, so that a deliverer that comes back after an outage doubles nothing.
ALERTS = StreamSpec(
    name="ALERTS",
    subjects=("alerts.>",),
    description="Alerts as they fire, are acknowledged and resolve: a copy for subscribers, 30 days.",
    max_age_seconds=30 * 86400,
    duplicate_window_seconds=7200,
)
