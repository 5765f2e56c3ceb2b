"""What audit owns on NATS."""

from shared.bus import StreamSpec

EXTERNAL = StreamSpec(
    name="EXTERNAL",
    subjects=("ext.>",),
    description="Events that other services publish: ext.<source>.<type>; what came by HTTP lies under ext._api.<tenant>.",
    max_bytes=16 * 1024**3,
    discard_new=True,
)
DLQ = StreamSpec(
    name="DLQ",
    subjects=("dlq.>",),
    description="What could not be taken in, with its reason.",
    max_age_seconds=30 * 86400,
    max_bytes=4 * 1024**3,
)
API_SOURCE = "_api"
