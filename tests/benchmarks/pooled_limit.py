"""The limit of hit decisions without a lattice: the likelihood ratio pooled over a frame.

It knows the number of spots and their mean intensity, which are exponential (Wilson), the true
background and the true spot shape. Its null distribution is computed: maxima are a compound
Poisson process, whose rates importance sampling gives to any depth.
"""

from __future__ import annotations

import math

import numpy as np
from limits import PAD, Limit, World, pad, typical_photons
from photon_frames import ROUND, Counts, Detector, FloatArray, spot_shares

_INTENSITIES = 6
_PATCHES = 12000
_STEP = 0.0025
_N_STEPS = 16384

#: Photons of the spots that patches are drawn with, in typical ones; half of them are flat.
_DRAWN = (0.25, 0.6, 1.2, 3.0, 10.0)


class PooledLimit:
    """The pooled likelihood ratio of frames with a uniform background.

    Parameters
    ----------
    n_spots, mean_photons
        Spots of a hit, and their mean intensity.
    fpr
        Blank frames that may be called hits.
    """

    def __init__(
        self,
        detector: Detector,
        world: World,
        n_spots: int,
        mean_photons: float,
        fpr: float,
        generator: np.random.Generator,
    ) -> None:
        self._world = world
        self._level = float(world.background[PAD, PAD])
        self._need = int(world.needs[PAD, PAD])
        typical = float(typical_photons(self._level))
        # Gauss-Laguerre nodes for what an exponential leaves of exp(-S) and polynomials.
        nodes, weights = np.polynomial.laguerre.laggauss(_INTENSITIES)
        photons = nodes * mean_photons / (1.0 + mean_photons)
        self._limit = Limit(
            detector,
            photons=photons / typical,
            weights=weights * np.exp(photons) / (1.0 + mean_photons),
            floor=-math.inf,
        )
        self._n_pixels = int(np.count_nonzero(world.usable))
        self._share = n_spots / self._n_pixels
        density = self._null_density(generator)
        transform = np.fft.rfft(density)
        self._law = np.maximum(np.fft.irfft(np.exp(transform - density.sum()), _N_STEPS), 0.0)
        self.threshold = self.cut(fpr)

    def cut(self, fpr: float) -> float:
        """Return the statistic that a share of blank frames reaches."""
        beyond = np.cumsum(self._law[::-1])[::-1]
        return float(_STEP * np.searchsorted(-beyond, -fpr))

    def statistic(self, counts: Counts) -> float:
        """Return the pooled log likelihood ratio of a frame."""
        _, sums = self._limit.everywhere(counts, self._world)
        return float(self._gain(sums).sum())

    def _gain(self, sums: FloatArray) -> FloatArray:
        return np.logaddexp(0.0, math.log(self._share) + sums)

    def _null_density(self, generator: np.random.Generator) -> FloatArray:
        """Return the expected number of maxima per step of the statistic, on a blank frame."""
        b, half, side = self._level, 3, 11
        window = np.arange(side) - side // 2
        inner = np.abs(window) <= half
        strengths, weights = [], []
        for drawn in _DRAWN:
            photons = drawn * float(typical_photons(b))
            for ss in (-1 / 3, 0.0, 1 / 3):
                for fs in (-1 / 3, 0.0, 1 / 3):
                    strengths.append(photons * spot_shares(ROUND, half, fs, ss, 0.0).ravel())
                    weights.append(1.0 / 9)
            strengths.append(np.full((2 * half + 1) ** 2, photons / (2 * half + 1) ** 2))
            weights.append(1.0)
        strength, weight = np.array(strengths), np.array(weights) / sum(weights)
        component = generator.choice(len(weight), _PATCHES, p=weight)
        mean = np.full((_PATCHES, side, side), b)
        middle = np.ix_(np.arange(_PATCHES), np.flatnonzero(inner), np.flatnonzero(inner))
        mean[middle] += strength[component].reshape(_PATCHES, 2 * half + 1, 2 * half + 1)
        counts = generator.poisson(mean)
        log_ratio = counts[middle].reshape(_PATCHES, -1) @ np.log1p(strength / b).T
        log_ratio += np.log(weight) - strength.sum(axis=1)
        log_ratio = np.logaddexp.reduce(log_ratio, axis=1)
        across = 100
        sheet = counts.reshape(-1, across, side, side).transpose(0, 2, 1, 3)
        sheet = sheet.reshape(-1, across * side).astype(np.uint16)
        padded = pad(sheet, 0)
        world = World(np.full(padded.shape, b), np.ones(padded.shape, np.bool_), np.empty(0))
        rows, columns = np.divmod(np.arange(_PATCHES), across)
        own = (rows * side + side // 2 + PAD) * padded.shape[1] + columns * side + side // 2 + PAD
        steps = np.arange(-2, 3)
        around = (steps[:, None] * padded.shape[1] + steps[None, :]).ravel()
        positions = np.sort((own[:, None] + around).ravel())
        boxes = sum(
            padded.ravel()[positions + down * padded.shape[1] + right].astype(np.int64)
            for down in (-1, 0, 1)
            for right in (-1, 0, 1)
        )
        found, _, sums = self._limit.maxima(padded, world, positions[boxes >= self._need])
        is_own = np.isin(found, own)
        log_weight = -log_ratio[np.searchsorted(own, found[is_own])]
        mass = np.exp(log_weight) * self._n_pixels / _PATCHES
        place = np.minimum(self._gain(sums[is_own]) / _STEP, _N_STEPS // 2)
        below = place.astype(np.int64)
        density = np.bincount(below, mass * (1 - place + below), minlength=_N_STEPS)
        density += np.bincount(below + 1, mass * (place - below), minlength=_N_STEPS)
        return density[:_N_STEPS]
