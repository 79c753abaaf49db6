"""Databases that are one file: the common part of SQLite and DuckDB."""
