"""Figures out of answers: whole for the maintainer, or for the public with what may be told of groups alone."""

from flowise_telemetry_report.public.disclosure import disclosed
from flowise_telemetry_report.public.publication import published

__all__ = ["disclosed", "published"]
