"""The commands: each file or folder is one, as it is typed."""
