"""Tables of the likelihood-ratio score: spot shapes times intensities, at every background.

A pixel that expects ``b`` background photons and ``s`` spot photons counts ``n`` with n_max
X-ray pulses a frame as Binomial(n_max, 1 - exp(-(b + s) / n_max)), since a photon counter sees
at most one photon per pixel and pulse. The log likelihood ratio is linear in the counts: each
count adds ``log(q1 / q0) + s / n_max``, and every pixel subtracts ``s``, seen or not. For many
pulses that is the Poisson ratio, ``n log(1 + s / b) - s``.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.shapes import ShapeBank
from cxlsfind.kernels.likelihood import ScoreTables

FloatArray = npt.NDArray[np.float64]
_F = TypeVar("_F", bound=np.floating)

#: Share of pulses in which a pixel may count before its background is taken as beyond measure.
_FULLEST = 0.999

#: Photons of the spot that half of the time stands out at one false peak per frame of 4.5 million
#: pixels, by background: where the intensities of the score are centred. Anything within a
#: factor of two does as well.
_TYPICAL_BACKGROUND = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0)
_TYPICAL_PHOTONS = (1.8, 1.9, 2.1, 2.7, 4.4, 7.9, 17.6, 46.3, 140.0, 430.0)

#: Intensities of the score in units of the typical spot, and their prior weights.
_FACTORS = np.array([1.0, 3.0, 12.0])
_FACTOR_WEIGHTS = np.array([0.6, 0.25, 0.15])

#: From this background on, unusable pixels are dropped from both sides of the ratio. Below, they
#: count as empty: scores are steps there, and a photon beside a gap must not gain a step that is
#: reserved for two.
_FORGIVING = 0.05

#: Nodes per decade of background, and their range in decades.
_NODES_PER_DECADE = 16
_DECADES = (-6.5, 3.0)


def node_backgrounds() -> FloatArray:
    """Return the backgrounds, photons per pixel, at which scores and tails are tabulated."""
    first, last = _DECADES
    count = round((last - first) * _NODES_PER_DECADE) + 1
    nodes: FloatArray = np.logspace(first, last, count)
    return nodes


def typical_photons(background: FloatArray) -> FloatArray:
    """Return about the photons of a spot that is found half of the time."""
    nodes = np.log(_TYPICAL_BACKGROUND)
    photons: FloatArray = np.exp(np.interp(np.log(background), nodes, np.log(_TYPICAL_PHOTONS)))
    return photons


def component_weights(bank: ShapeBank) -> FloatArray:
    """Return the prior weight of every component, intensity by intensity; their sum is one."""
    weights: FloatArray = np.outer(_FACTOR_WEIGHTS, bank.weights).ravel()
    return weights


def component_strengths(bank: ShapeBank, background: FloatArray) -> FloatArray:
    """Return expected spot photons per tap, shape (backgrounds, taps, components)."""
    photons = np.outer(bank.typical * typical_photons(background), _FACTORS)
    strengths = photons[:, :, None, None] * bank.taps[None, None, :, :]
    flat: FloatArray = strengths.reshape(
        len(background), photons.shape[1] * len(bank.taps), bank.taps.shape[1]
    )
    return np.ascontiguousarray(flat.transpose(0, 2, 1))


def build_tables(bank: ShapeBank, n_pulses: float) -> ScoreTables:
    """Tabulate the score of a bank of shapes.

    Parameters
    ----------
    n_pulses
        X-ray pulses per frame; ``math.inf`` for Poisson counts.
    """
    nodes = node_backgrounds()
    strength = component_strengths(bank, nodes)
    return ScoreTables(
        log_ratio=count_weight(strength, nodes[:, None, None], n_pulses).astype(np.float32),
        strength=strength.astype(np.float32),
        forgiven=np.where(nodes[:, None, None] >= _FORGIVING, strength, 0.0).astype(np.float32),
        total=strength.sum(axis=1).astype(np.float32),
        log_weight=np.log(component_weights(bank)).astype(np.float32),
        log_background=np.log(nodes),
    )


def count_weight(strength: FloatArray, background: FloatArray, n_pulses: float) -> FloatArray:
    """Return the log likelihood ratio that one count adds; arguments broadcast.

    Parameters
    ----------
    strength, background
        Photons expected from the spot and from the background.
    n_pulses
        X-ray pulses per frame; ``math.inf`` for Poisson counts.
    """
    weight: FloatArray
    if math.isinf(n_pulses):
        weight = np.log1p(strength / background)
    else:
        lit = -np.expm1(-(background + strength) / n_pulses)
        dark = -np.expm1(-background / n_pulses)
        weight = np.log(lit / dark) + strength / n_pulses
    return weight


def expected_photons(counts: npt.NDArray[_F], n_pulses: float) -> npt.NDArray[_F]:
    """Return the photons that a mean count stands for: a pixel counts one per pulse at most.

    Parameters
    ----------
    counts
        Mean counts per pixel and frame.
    n_pulses
        X-ray pulses per frame; ``math.inf`` for Poisson counts.
    """
    if math.isinf(n_pulses):
        return counts
    photons: npt.NDArray[_F] = -n_pulses * np.log1p(-np.minimum(counts / n_pulses, _FULLEST))
    return photons
