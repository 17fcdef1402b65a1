"""Ranks: who processes which block, and how results come together in order."""
