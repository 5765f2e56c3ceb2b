"""What other services may know of alerts: its requests, its events and its stream."""
