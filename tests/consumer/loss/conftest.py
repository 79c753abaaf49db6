"""The sinks of the sinks' tests."""

from tests.consumer.sinks.conftest import claimed_url, database_url, s3_endpoint, s3_url, sink, sink_url

__all__ = ["claimed_url", "database_url", "s3_endpoint", "s3_url", "sink", "sink_url"]
