"""The proxy: every request on 8645, authenticated, limited, forwarded and recorded, without a hop of our own."""
