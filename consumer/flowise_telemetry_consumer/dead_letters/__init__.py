"""The dead-letter topic: written, listed, looked into, and redriven."""
