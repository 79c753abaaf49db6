"""Plain files of what a sink holds: Parquet or CSV, a folder for each event and day."""

from flowise_telemetry_consumer.export.exported import ExportedFolder
from flowise_telemetry_consumer.export.formats import FORMATS
from flowise_telemetry_consumer.export.loop import ExportResult, export_events

__all__ = ["FORMATS", "ExportResult", "ExportedFolder", "export_events"]
