"""Fitting and scoring models on simulated data with a known physical limit."""
