"""The diagnosis of a cluster."""
