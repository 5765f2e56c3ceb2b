"""What Gatehouse is measured beside: each peer is started here, in a folder of its own, and stopped at the end."""
