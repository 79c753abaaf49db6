"""Asking the questions of an engine, each base once."""

from flowise_telemetry_report.asking.answer import Answer, AnsweredSection
from flowise_telemetry_report.asking.inquiry import ask

__all__ = ["Answer", "AnsweredSection", "ask"]
