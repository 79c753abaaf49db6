"""The commands: each file or folder is one command, named as it is typed."""
