"""Workloads measured beside peers, in one run on one machine; see README.md."""
