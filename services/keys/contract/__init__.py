"""What other services may know of keys: events, requests, the view's entries, credentials and permissions."""
