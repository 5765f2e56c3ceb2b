"""What keys owns on NATS: the event stream and the bucket that gateways read."""

from shared.bus import StreamSpec

EVENTS = StreamSpec(
    name="EVENTS-1",
    subjects=("evt.>",),
    description="Domain events: the source of truth. Kept for ever.",
    keep_for_ever=True,
    discard_new=True,
)
TRAFFIC_READERS = ("keys-usage",)  # consumers whose positions hold a purge back
VIEW_BUCKET = "view"
VIEW = StreamSpec(
    name=f"KV_{VIEW_BUCKET}",
    subjects=(f"$KV.{VIEW_BUCKET}.>",),
    description="What gateways need to decide: keys and config, projected from EVENTS (a KV bucket, ADR-8).",
    max_msgs_per_subject=1,
    discard_new=True,
    allow_rollup=True,
)
