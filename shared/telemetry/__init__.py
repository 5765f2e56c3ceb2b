"""What the processes say about themselves: JSON logs with trace ids, OpenTelemetry traces, Prometheus metrics."""
