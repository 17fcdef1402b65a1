"""Data sets for training: the directory tree of images, labels and their truth."""
