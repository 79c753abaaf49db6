"""Consent: the decision whether telemetry may be sent, and the places that can make it."""
