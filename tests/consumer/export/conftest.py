"""The sinks of the sinks' tests: each kind that can be read back."""

from tests.consumer.sinks.conftest import s3_endpoint, s3_url, sink_url

__all__ = ["s3_endpoint", "s3_url", "sink_url"]
