"""What a replay can read in place of a topic: a sink by its URL, a Delta table, a folder that ``export`` wrote."""

from __future__ import annotations

import re
from pathlib import Path

from flowise_telemetry_consumer.archives.opening import Source
from flowise_telemetry_consumer.export import ExportedFolder
from flowise_telemetry_consumer.sinks.registry import open_sink
from flowise_telemetry_schemas import Catalog, ConfigurationError, MissingExtraError

__all__ = ["open_source"]

_LAKE = re.compile(r"delta(\+\w+)?:")
_TABLE_LOG = "_delta_log"


def open_source(text: str, catalog: Catalog) -> Source:
    """Return the archive that a URL or the path of a folder names.

    ``delta:///lake`` (or with ``+s3`` and so on) may be a lake or one of its tables. Raises ``ConfigurationError``.
    """
    if _LAKE.match(text):
        return _table_in(text, catalog) or open_sink(text, catalog)
    folder = Path(text)
    if ":" in text and not folder.is_dir():
        return open_sink(text, catalog)
    if not folder.is_dir():
        raise ConfigurationError(
            f"there is no folder {text}: name the URL of a sink, or a folder with Delta tables or an export",
            argument="source",
        )
    if (folder / _TABLE_LOG).is_dir() or any(folder.glob(f"*/{_TABLE_LOG}")):
        return open_source(f"delta:///{folder}", catalog)
    return ExportedFolder(folder, catalog)


def _table_in(url: str, catalog: Catalog) -> Source | None:
    try:
        from flowise_telemetry_consumer.sinks.delta import open_table

        table = open_table(url)
    except ImportError as error:
        raise MissingExtraError("deltalake", "delta") from error
    if table is not None and table.event not in catalog.events:
        raise ConfigurationError(
            f"{table.url} has not the name of an event; there are: {', '.join(catalog.events)}",
            argument="source",
        )
    if table is not None:
        table.know(catalog)
    return table
