"""Reading runs: lists, events, HDF5 layouts, masks and raw frames."""
