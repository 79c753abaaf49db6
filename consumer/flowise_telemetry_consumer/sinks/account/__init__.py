"""A sink's own account: what of each stream it received, and what became a dead letter."""
