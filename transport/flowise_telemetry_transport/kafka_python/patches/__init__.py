"""Patches for faults of the clients, through their private names.

Each file says which client and release has the fault, what the patch does, and which release or event makes it
unnecessary. The files for kafka-python-ng 2.2.3 are removed together with that client: it is no longer developed, and
its maintainer recommends kafka-python (kafka-python-ng#210).
"""
