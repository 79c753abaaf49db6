"""What an operator sees of the consumer from outside: metrics, health, readiness. Never the value of a field."""
