"""The proxy: every request on 8645, authenticated, limited, forwarded and recorded, with no hop of our own before the
upstream's answer.
"""
