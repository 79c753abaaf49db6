"""A report as files: JSON, Markdown, and a folder of numbers that others can publish and check."""

from flowise_telemetry_report.files.json_text import as_json
from flowise_telemetry_report.files.markdown_text import as_markdown
from flowise_telemetry_report.files.writing import write_file, write_folder

__all__ = ["as_json", "as_markdown", "write_file", "write_folder"]
