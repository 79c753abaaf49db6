"""From a topic to batches: polling, ranges of offsets, and the rule that closes a batch."""
