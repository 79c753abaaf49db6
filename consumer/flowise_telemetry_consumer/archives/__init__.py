"""Archives: events that come back from a sink or a file, checked as those of a topic are."""
