"""The way of a block of frames from raw data to results; knows nothing of ranks."""
