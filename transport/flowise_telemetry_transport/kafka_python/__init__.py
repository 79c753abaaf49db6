"""The adapter for kafka-python (kafka-python-ng 2.2). Only this package imports ``kafka``, inside its functions."""
