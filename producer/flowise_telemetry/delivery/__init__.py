"""From the app's call to the broker's acknowledgement."""
