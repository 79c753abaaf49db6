"""Engines that run queries on sinks: one adapter for each kind that has an engine of its own."""

from flowise_telemetry_report.engines.dialect import Dialect, filled
from flowise_telemetry_report.engines.opening import ENGINES, open_engine
from flowise_telemetry_report.engines.port import Engine

__all__ = ["ENGINES", "Dialect", "Engine", "filled", "open_engine"]
