"""Measures the hot paths of the pipeline: ``make bench``."""
