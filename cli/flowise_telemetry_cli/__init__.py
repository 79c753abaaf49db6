"""The ``flowise-telemetry`` command: the only package that imports all others."""

from flowise_telemetry_cli.main import cli, main

__all__ = ["cli", "main"]
