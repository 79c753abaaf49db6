"""Many clients at once, each on one connection; and what arrived."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from typing import Any

from flowise_telemetry_schemas import catalog, codec
from tests.gateway.conftest import KEY, World, tool
from tests.producer.samples import stored_records


def send_at_once(world: World, *, clients: int, requests: int) -> Counter[int]:
    """Send one event a request, all of a client's on one connection; return the answers by status."""
    statuses: Counter[int] = Counter()
    lock = threading.Lock()

    def send(client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", world.port, timeout=60)
        connection.connect()
        connection.auto_open = False  # else it opens another one for each that was closed
        found: list[int] = []
        try:
            for number in range(requests):
                document = {"api_key": KEY, "batch": [tool(client * requests + number)]}
                connection.request("POST", "/batch/", json.dumps(document))
                response = connection.getresponse()
                response.read()
                found.append(response.status)
        except http.client.NotConnected:
            pass  # it was closed: the requests that are left have no answer
        finally:
            connection.close()
            with lock:
                statuses.update(found)

    threads = [threading.Thread(target=send, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def decoded(world: World) -> list[tuple[str, dict[str, Any]]]:
    """Events by name, as they are on the topic."""
    found = [codec.decode(record.value, catalog()) for record in stored_records(world.broker)]
    return [(schema.event, fields) for schema, fields in found]
