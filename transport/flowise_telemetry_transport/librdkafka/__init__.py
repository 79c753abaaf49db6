"""The adapter for confluent-kafka (librdkafka). Only it and ``embedded`` import that, in functions."""
