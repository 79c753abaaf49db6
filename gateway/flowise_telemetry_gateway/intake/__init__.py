"""What is taken in: events of PostHog's clients, records of our own producers."""
