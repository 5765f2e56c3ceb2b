"""audit: owns the log, one ordered, contiguous, searchable record of everything, and the quarantine of what was refused.

Listens to `evt.>`, `traffic.>`, `ext.>`, `dlq.audit` and `rpc.audit.>`; owns the streams EXTERNAL and DLQ, and
purges TRAFFIC and EXTERNAL of what all have read.
Invariants: indexes are contiguous from 0; every event is stored exactly once, or visible in quarantine; identity of what
comes from outside is the credential's, never the text's; verifiers are kept only as hashes.
"""
