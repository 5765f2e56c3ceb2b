"""What other services may know of audit: entries, queries, the rules for events from outside."""
