"""What other services may know of the gateway: the stream of records and their data."""
