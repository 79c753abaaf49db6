"""From events to bytes."""
