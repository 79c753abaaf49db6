"""Mends for faults of the clients, through their private names.

Each file says which client and release has the fault, what it mends, and which release or event makes it unnecessary.
The files for kafka-python-ng 2.2.3 all go when that client does: it is no longer developed, and its maintainer
recommends kafka-python (kafka-python-ng#210).
"""
