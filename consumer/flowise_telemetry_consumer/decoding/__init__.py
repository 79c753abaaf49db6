"""Bytes of records to frames, and the bad ones to dead letters."""
