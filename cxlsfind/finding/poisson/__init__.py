"""Peaks and hits at the physical limit: Poisson likelihood ratios with known false-alarm rates."""
