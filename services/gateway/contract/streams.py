"""What the gateway owns on NATS."""

from shared.bus import StreamSpec

TRAFFIC = StreamSpec(
    name="TRAFFIC",
    subjects=("traffic.>",),
    description="Records: one a request, in CloudEvents batches. Purged up to the lowest position of its readers.",
    max_bytes=64 * 1024**3,
    discard_new=True,
)
