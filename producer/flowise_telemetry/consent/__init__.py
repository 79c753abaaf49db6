"""Whether telemetry may be sent, and who decided that."""
