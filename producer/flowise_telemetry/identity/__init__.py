"""The ids that an installation gives itself and its events."""
