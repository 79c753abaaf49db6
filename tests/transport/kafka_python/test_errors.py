"""What kafka-python's own assertions tell: of the settings, or of a broker that went away meanwhile."""

from __future__ import annotations

import pytest

from flowise_telemetry_schemas.errors import ConfigurationError
from flowise_telemetry_transport.errors import BrokerUnavailableError
from flowise_telemetry_transport.kafka_python.errors import translate_error
from flowise_telemetry_transport.kafka_python.release import import_kafka


def test_a_broker_that_left_the_metadata_meanwhile_is_one_to_wait_for() -> None:
    client = import_kafka().KafkaClient(bootstrap_servers="127.0.0.1:1", api_version=(2, 5, 0))
    try:
        with pytest.raises(AssertionError) as told:
            client._maybe_connect(99)
    finally:
        client.close()
    mapped = translate_error(told.value, "no connection to 127.0.0.1:1")
    assert isinstance(mapped, BrokerUnavailableError)
    assert mapped.retryable
    assert str(mapped) == "no connection to 127.0.0.1:1: Broker id 99 not in current metadata"


def test_a_setting_that_the_client_asserts_is_one_to_mend() -> None:
    with pytest.raises(AssertionError) as told:
        import_kafka().KafkaProducer(bootstrap_servers="127.0.0.1:1", no_such_setting=1)
    assert isinstance(translate_error(told.value, "no connection"), ConfigurationError)
