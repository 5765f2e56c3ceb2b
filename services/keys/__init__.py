"""keys: owns API keys and config (routes); the source of truth is EVENTS, everything else is projected from it.

Listens to `rpc.keys.>`, `evt.keys.>` and `traffic.>`; emits `evt.keys.>`; writes the KV bucket `view`.
Invariants: decide is pure; no secret is ever stored, only its HMAC under the pepper; a claim makes a path prefix unique;
the view only ever moves upward in an entity's sequence.
"""
