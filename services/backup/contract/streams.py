"""What backup leaves on NATS: no stream, but a bookmark in each stream that others purge."""

# Consumers that nobody reads: their position says up to where a stream is in a recovery point. Two names, so that one always
# stands while the other is made anew.
BOOKMARKS = ("backup-bookmark-0", "backup-bookmark-1")
