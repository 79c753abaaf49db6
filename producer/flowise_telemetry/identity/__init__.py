"""Ids of the installation and of its events."""
