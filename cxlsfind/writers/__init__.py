"""Outputs: stream, peak tables, lists and the run in numbers."""
