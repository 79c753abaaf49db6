"""The producer embedded in real programs."""
