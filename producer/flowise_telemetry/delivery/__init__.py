"""Delivery: from the app's call to the broker's acknowledgement."""
