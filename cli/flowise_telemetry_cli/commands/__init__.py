"""The commands: each file or folder is one, named as it is typed."""
