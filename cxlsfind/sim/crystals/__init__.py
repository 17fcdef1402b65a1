"""Crystals: cells, symmetry and the intensities of their reflections."""
