"""Finding peaks and deciding hits in one frame."""
