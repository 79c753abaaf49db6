"""Encoding: from events to bytes."""
