"""From the bytes of records to frames, and what is no record."""
