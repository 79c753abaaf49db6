"""The dead-letter topic: writing, listing, inspecting and redriving dead letters."""
