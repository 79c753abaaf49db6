"""Views for analysts, the same in every sink: all events, nodes, edges, streams, flows, dead letters (ADR 0041)."""

from flowise_telemetry_consumer.sinks.views.dialect import Dialect
from flowise_telemetry_consumer.sinks.views.due import Due, due_views, not_made, warn_of_taken
from flowise_telemetry_consumer.sinks.views.statements import VIEWS, View

__all__ = ["VIEWS", "Dialect", "Due", "View", "due_views", "not_made", "warn_of_taken"]
