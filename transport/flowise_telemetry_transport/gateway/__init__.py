"""A gateway over HTTPS, where the cluster cannot be reached: ``wire`` is what both sides say to each other."""
