"""The embedded broker: groups, whose contract suite does not run there."""

from __future__ import annotations

import pytest

from tests.transport.backends import EMBEDDED_BACKENDS, Backend, read, write
from tests.transport.test_contract import numbered


@pytest.mark.services
@pytest.mark.parametrize("backend", EMBEDDED_BACKENDS, indirect=True)
def test_a_group_reads_and_commits(backend: Backend) -> None:
    topic, group = backend.new_topic(), backend.new_group()
    write(backend, numbered(topic, 10))
    reader = backend.reader(group)
    reader.subscribe([topic])
    assert len(read(reader, count=10)) == 10
    partition = reader.partitions_of(topic)[0]
    reader.commit({partition: 7}, timeout_seconds=10)
    reader.close()

    assert backend.reader(group).committed([partition]) == {partition: 7}
