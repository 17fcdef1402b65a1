"""Photon lists written for reading: one pixel at a time, in whole Python numbers."""

import math


def rounded(values, usable, windows, adu_per_photon):
    """Return pixels and nearest photons, half a photon and more, panel after panel."""
    photons = []
    for (start, stride, height, width), gain in zip(windows, adu_per_photon, strict=True):
        for ss in range(height):
            for fs in range(width):
                pixel = start + ss * stride + fs
                count = math.floor(float(values[pixel]) / gain + 0.5)
                if usable[pixel] and count >= 1:
                    photons.append((pixel, min(count, 2**32 - 1)))
    return photons


def total(values, usable, windows, adu_per_photon):
    """Return the sum in photons."""
    photons = []
    for (start, stride, height, width), gain in zip(windows, adu_per_photon, strict=True):
        for ss in range(height):
            for fs in range(width):
                pixel = start + ss * stride + fs
                if usable[pixel]:
                    photons.append(float(values[pixel]) / gain)
    return math.fsum(photons)
