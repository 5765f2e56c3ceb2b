"""What backup leaves on NATS: no stream, but a bookmark in each stream that others purge."""

# A consumer that nobody reads: its position says up to where the stream is in a recovery point.
BOOKMARK = "backup-bookmark"
