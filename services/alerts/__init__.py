"""alerts: owns alert rules, the alerts that they fire, and the notifications of both.

Listens to `rpc.alerts.>`, `evt.alerts.>`, `traffic.>`, `ext.>` and the events of system, audit and backup; emits
`evt.alerts.>` and `alerts.>`, and calls webhooks.
Invariants: window arithmetic is pure; changed windows, the position, alerts and their outbox rows change in one
transaction; what is sent was frozen first, and is sent from the outbox only. Rules are event-sourced; alerts, windows,
channels and deliveries are primary stores.
"""
