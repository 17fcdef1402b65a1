"""Hit finder and Bragg-peak finder for photon-counting serial crystallography."""

__version__ = "0.1.0"
