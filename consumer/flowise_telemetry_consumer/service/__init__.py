"""The live consumer."""
