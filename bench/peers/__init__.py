"""What is measured, each in a process of its own; the foreign ones in environments of their own."""
