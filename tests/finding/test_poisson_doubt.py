"""What few photons leave open about the background is passed on to the significance of peaks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import nbinom, poisson

from cxlsfind.finding.poisson.background import (
    bin_sums,
    rough_background,
    sum_up,
    total_counts,
)
from cxlsfind.finding.poisson.candidates import Scanner
from cxlsfind.finding.poisson.canvas import build_canvas
from cxlsfind.finding.poisson.stretch import learn_stretch
from cxlsfind.finding.poisson.surroundings import survey
from cxlsfind.finding.poisson.thresholds import tail_of
from cxlsfind.geometry.maps import rings

SHAPE = 40, 64


@pytest.mark.parametrize("n_photons", [12, 40, 70, 400])
def test_the_tail_is_that_of_a_negative_binomial(two_panels, to_frame, n_photons: int) -> None:
    """A spot of some photons on a background that is known from a number of photons."""
    around = survey(
        build_canvas(two_panels.layout),
        rings(two_panels.geometry, two_panels.layout),
        two_panels.usable,
    )
    rng = np.random.default_rng(n_photons)
    counts = np.zeros(SHAPE, np.int64)
    counts.ravel()[rng.choice(counts.size, n_photons, replace=False)] = 1
    counts[13:24, 8:19] = 0
    counts[18, 12:15] = 1, 6, 1
    placed = [around.canvas.lay(to_frame(counts))]
    totals = total_counts([placed[0].planes], around.canvas)
    bins, lit_bins = bin_sums(placed, around)
    counted = sum_up(totals[0], bins, around)
    rough = rough_background(counted, totals[1], lit_bins, around)
    tail = tail_of(math.inf, 0.0, 0.0)
    scanner = Scanner()
    stretch = learn_stretch(placed, around, counted, rough, scanner, tail)
    found = stretch.find(placed[0], 0, scanner)
    (number,) = np.flatnonzero(found.position == around.canvas.place[18 * SHAPE[1] + 13])
    doubt = stretch.doubt(found, 0)[number]
    growth = stretch.tail.growth(found.at_nodes, found.background)[number]
    assert 2.0 < growth < 14.0
    ring = around.ring[found.position[number]]
    spread = 1.0 / stretch.background.support[ring] + 1.0 / stretch.background.photons[0]
    known = 1.0 / spread
    if n_photons == 400:
        assert doubt == 0.0
        return
    mean = 1e-6
    low, high = (
        math.log(nbinom.pmf(k, known, known / (known + mean)) / poisson.pmf(k, mean))
        for k in (math.floor(growth), math.ceil(growth))
    )
    assert 0.0 < min(low, 5.0) <= doubt <= min(high, 5.0)
