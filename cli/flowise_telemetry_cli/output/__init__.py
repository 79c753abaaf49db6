"""Output of the commands: tables, log lines, and the progress display of long work."""
