"""What SQLite and DuckDB have in common: a database that is one file."""
