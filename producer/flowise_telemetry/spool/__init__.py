"""Spool: events on disk until they are delivered."""
