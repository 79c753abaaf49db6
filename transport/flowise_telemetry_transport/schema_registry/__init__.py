"""A schema registry with Confluent's API: settings, errors, and the adapter of confluent-kafka's client."""
