"""gateway: stands in front of every upstream (proxy) and of the house's own services (api).

Publishes one record a request on `traffic.<gateway>`, asks the owners by `rpc.>`, reads the KV bucket `view`.
Invariants: no response without a record; no network call and no disk write before the upstream call; authentication fails
closed; error statuses live in `problems.py` alone.
"""
