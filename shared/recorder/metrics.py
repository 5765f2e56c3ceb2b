"""How recording goes, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

_acked = Counter("recorder_records_acked", "Records acked by JetStream when first sent.")
_spooled = Counter("recorder_records_spooled", "Records that went to the spool.")
_spool_bytes = Gauge("recorder_spool_bytes", "What lies in the spool.")
_latency = Histogram(
    "recorder_ack_seconds",
    "From sending a message of records to its ack.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25),
)


class RecorderMetrics:
    """The metrics of this process's recorder."""

    def acked(self, records: int, seconds: float) -> None:
        """Note a message that was acked."""
        _acked.inc(records)
        _latency.observe(seconds)

    def spooled(self, records: int, spool_bytes: int) -> None:
        """Note records that went to disk."""
        _spooled.inc(records)
        _spool_bytes.set(spool_bytes)

    def drained(self, spool_bytes: int) -> None:
        """Note a message that left the spool."""
        _spool_bytes.set(spool_bytes)
