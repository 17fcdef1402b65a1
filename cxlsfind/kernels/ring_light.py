"""The light that a sample scatters into pixels at some distances from the beam."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel

FloatArray = npt.NDArray[np.float64]


class LightTables(NamedTuple):
    """What molecules scatter by q, and in which units.

    Parameters
    ----------
    water, buffer, air
        Per metre, and their derivatives by q, at steps of q from zero, (2, steps).
    step
        Of q, per angstrom.
    wave
        Wave number of the first of the errors' cosines, angstrom.
    nearest
        The way through air ends at this part of the camera length before the detector.
    """

    water: FloatArray
    buffer: FloatArray
    air: FloatArray
    step: float
    wave: float
    nearest: float


class LightPlaces(NamedTuple):
    """Where profiles are looked at; one element, or row, per place.

    Parameters
    ----------
    clen
        Camera length, metres.
    wave_number
        2 pi over the wavelength, per angstrom.
    amounts, slopes
        Water, buffer and air, metres, and their derivatives by their latents, (places, 3).
    water_absorbs, air_absorbs
        Attenuation of the water on half its thickness, and of the air on the way to the detector,
        per metre.
    heights, unit
        Heights of the errors' cosines, (places, terms), and that for a latent of one.
    """

    clen: FloatArray
    wave_number: FloatArray
    amounts: FloatArray
    slopes: FloatArray
    water_absorbs: FloatArray
    air_absorbs: FloatArray
    heights: FloatArray
    unit: float


class _Direction(NamedTuple):
    """Where a pixel looks, and the derivatives of the logarithms by that of the camera length."""

    q: float
    factor: float
    secant: float
    q_tilt: float
    factor_tilt: float
    secant_tilt: float


@kernel
def _look(radius: float, clen: float, wave_number: float) -> _Direction:
    tangent = radius / clen
    secant = math.sqrt(1.0 + tangent * tangent)
    cosine = 1.0 / secant
    square = cosine * cosine
    across = 1.0 - square
    # Tangent over this is twice the sine of half the angle.
    half = math.sqrt(0.5 * secant * (secant + 1.0))
    return _Direction(
        wave_number * tangent / half,
        # Solid angle, and polarisation averaged around the beam.
        0.5 * square * cosine * (1.0 + square),
        secant,
        across * (0.5 + 0.5 * secant / (secant + 1.0)) - 1.0,
        across * (3.0 + 2.0 * square / (1.0 + square)),
        -across,
    )


@kernel
def _scatter(table: FloatArray, step: float, seen: _Direction) -> tuple[float, float]:
    """Return what a table says of a direction, and its derivative by that of the camera length."""
    place = min(seen.q / step, table.shape[1] - 2.0)
    below = int(place)
    part = place - below
    value = table[0, below] + part * (table[0, below + 1] - table[0, below])
    slope = table[1, below] + part * (table[1, below + 1] - table[1, below])
    growth = slope * seen.q * seen.q_tilt + value * seen.factor_tilt
    return value * seen.factor, growth * seen.factor


@kernel
def _scatter_air(
    radius: float, clen: float, wave_number: float, behind: float, reaches: bool, air: FloatArray,
    step: float,
) -> tuple[float, float]:  # fmt: skip
    """Return what a metre of air scatters, so far behind the sample, and how that grows.

    Parameters
    ----------
    reaches
        Whether the place moves with the detector.
    """
    near = clen / (clen - behind)
    value, growth = _scatter(air, step, _look(radius, clen - behind, wave_number))
    value, growth = near * near * value, near * near * growth
    if reaches:
        return value, growth
    return value, growth * near + value * 2.0 * (1.0 - near)


@kernel
def fill_light(
    radius_m: FloatArray,
    places: LightPlaces,
    tables: LightTables,
    slices: FloatArray,
    logarithm: FloatArray,
    slope: FloatArray,
) -> None:
    """Fill in the expected light of pixels, its logarithm up to a constant.

    Parameters
    ----------
    radius_m
        Distances from the beam, metres, (rings,).
    slices
        Places between 0 and 1 on the way through air, and their weights, (2, slices).
    logarithm
        Result, (places, rings).
    slope
        Result: derivatives by the logarithm of the camera length and by the latents of water,
        buffer, air and the errors, (places, rings, 4 + terms).
    """
    for p in range(places.clen.size):
        clen, wave_number = places.clen[p], places.wave_number[p]
        water, buffer, air = places.amounts[p]
        longest = (1.0 - tables.nearest) * clen
        reaches = air >= longest
        length = min(air, longest)
        flight = places.air_absorbs[p] * clen
        absorbs = places.water_absorbs[p]
        absorbed = absorbs * (water + buffer) + flight
        for r in range(radius_m.size):
            radius = radius_m[r]
            seen = _look(radius, clen, wave_number)
            of_water, water_growth = _scatter(tables.water, tables.step, seen)
            of_buffer, buffer_growth = _scatter(tables.buffer, tables.step, seen)
            total = water * of_water + buffer * of_buffer
            growth = water * water_growth + buffer * buffer_growth
            for s in range(slices.shape[1]):
                here, its_growth = _scatter_air(
                    radius, clen, wave_number, slices[0, s] * length, reaches, tables.air,
                    tables.step,
                )  # fmt: skip
                total += slices[1, s] * length * here
                # A way that ends at the detector grows with the camera length.
                growth += slices[1, s] * length * (its_growth + (here if reaches else 0.0))
            slope[p, r, 1] = places.slopes[p, 0] * (of_water / total - absorbs * seen.secant)
            slope[p, r, 2] = places.slopes[p, 1] * (of_buffer / total - absorbs * seen.secant)
            slope[p, r, 3] = 0.0
            if not reaches:
                last, _ = _scatter_air(
                    radius, clen, wave_number, length, reaches, tables.air, tables.step
                )
                slope[p, r, 3] = places.slopes[p, 2] * last / total
            cosine, sine = math.cos(tables.wave * seen.q), math.sin(tables.wave * seen.q)
            # cos((k + 1) x) and sin((k + 1) x) from the two before.
            old_cosine, old_sine, this_cosine, this_sine = 1.0, 0.0, cosine, sine
            shape, bend = 0.0, 0.0
            for k in range(places.heights.shape[1]):
                shape += places.heights[p, k] * this_cosine
                bend -= places.heights[p, k] * (k + 1) * this_sine
                slope[p, r, 4 + k] = places.unit * this_cosine
                old_cosine, this_cosine = this_cosine, 2.0 * cosine * this_cosine - old_cosine
                old_sine, this_sine = this_sine, 2.0 * cosine * this_sine - old_sine
            logarithm[p, r] = math.log(total) - absorbed * seen.secant + shape
            slope[p, r, 0] = (
                growth / total
                - (absorbed * seen.secant_tilt + flight) * seen.secant
                + bend * tables.wave * seen.q * seen.q_tilt
            )
