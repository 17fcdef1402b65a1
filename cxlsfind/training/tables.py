"""The default finder's score as tables for :class:`~cxlsfind.models.likelihood.LikelihoodRatio`."""

from __future__ import annotations

import math

import numpy as np

from cxlsfind.finding.poisson.scores import (
    build_tables,
    component_strengths,
    component_weights,
    count_weight,
    node_backgrounds,
)
from cxlsfind.finding.poisson.shapes import ShapeBank, round_shapes
from cxlsfind.models.likelihood import SpotTables


def spot_tables(bank: ShapeBank | None = None) -> SpotTables:
    """Return the score for many pulses per frame (Poisson counts).

    Parameters
    ----------
    bank
        Spot shapes; those of ordinary round spots unless given.
    """
    bank = bank if bank is not None else round_shapes().banks[0]
    nodes = node_backgrounds()
    strength = component_strengths(bank, nodes)
    photons = strength.sum(axis=1)
    forgiven = build_tables(bank, math.inf).forgiven.any(axis=(1, 2))
    return SpotTables(
        log_background=np.log(nodes),
        log_ratio=count_weight(strength, nodes[:, None, None], math.inf),
        photons=photons,
        taps=(strength[-1] / photons[-1]).T,
        log_weight=np.log(component_weights(bank)),
        forgiving_from=float(nodes[int(np.argmax(forgiven))]),
    )
