"""The adapter for confluent-kafka (librdkafka). Only this package and ``embedded`` import it, inside their functions."""
