"""The consumer as its operator sees it: metrics, health, readiness. Never the value of a field."""
