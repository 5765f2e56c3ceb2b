"""Where notifications go: one module a kind of channel, each with the same small `send`."""
