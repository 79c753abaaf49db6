"""What a sink holds, as pictures and tables: figures by SQL, one self-contained page, and the numbers beside it."""

from __future__ import annotations

from flowise_telemetry_report.document import Column, Figure, Report, Section

__all__ = ["Column", "Figure", "Report", "Section"]
