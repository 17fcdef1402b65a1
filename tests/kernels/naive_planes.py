"""Bit planes written for reading: one pixel at a time, in whole Python numbers."""

import numpy as np


def frame(raw, usable, n_planes, is_marked):
    """Return planes, list, bad and censored pixels of an array of integers.

    Parameters
    ----------
    is_marked
        Tells from a pixel and its count whether the pixel is bad.
    """
    largest, full = int(np.iinfo(raw.dtype).max), 2**n_planes - 1
    planes = np.zeros((n_planes, -(-len(raw) // 64)), np.uint64)
    listed, bad, censored = [], [], []
    for pixel, value in enumerate(map(int, raw)):
        if not usable[pixel]:
            continue
        if value < 0 or is_marked(pixel, value):
            bad.append(pixel)
            continue
        for plane in range(n_planes):
            if value >= full or value >> plane & 1:
                planes[plane, pixel // 64] |= np.uint64(1 << pixel % 64)
        if value >= full:
            listed.append((pixel, value))
        if value == largest:
            censored.append(pixel)
    return planes, listed, bad, censored
