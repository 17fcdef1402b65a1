"""Light adds up over the blocks of a run where headers agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cxlsfind.pipeline.ring_light import LightPool, ring_light
from cxlsfind.records import FrameHeader, FrameTable, RingLight
from cxlsfind.writers.blocks import BlockOutput

FRAMES = FrameTable((), *(np.zeros(0, np.int32),) * 1, (), *(np.zeros(0, np.int32),) * 5)


def block(*groups: tuple[float, float, float]) -> BlockOutput:
    """Return a block with light of groups: energy, camera length and photons of every cell."""
    light = [
        RingLight(energy, clen, (0.0, 0.0), 10, np.full((5, 3, 2), photons))
        for energy, clen, photons in groups
    ]
    return BlockOutput.from_results([], (), frames=FRAMES, geometry=None, light=light)


def test_blocks_that_belong_together_add_up() -> None:
    """By photon energy and camera length; the brightest group comes first."""
    pool = LightPool()
    blocks = [block((7000.0, 0.15, 1.0)), block((7010.0, 0.15, 2.0), (7000.0, 0.16, 7.0))]
    for left in pool.take_from(blocks):
        assert left.light.size == 0
    first, second = pool.largest(5)
    assert (first.clen_m, first.n_frames) == (0.16, 10)
    assert (second.photon_energy_ev, second.n_frames) == (7000.0, 20)
    np.testing.assert_array_equal(second.cells, 3.0)
    assert pool.largest(1) == [first]


def test_groups_of_detectors_at_other_places_differ() -> None:
    """A pixel or more; and rings that one has more of are kept."""
    pool = LightPool()
    one = block((7000.0, 0.15, 1.0))
    moved = replace(one, light_of=np.add(one.light_of, [0.0, 0.0, 2e-4, 0.0, 0.0]))
    longer = replace(one, light=np.ones((1, 5, 4, 2)))
    list(pool.take_from([one, moved, longer]))
    both, alone = pool.largest(5)
    assert (both.n_frames, alone.n_frames) == (20, 10)
    np.testing.assert_array_equal(both.cells[0, :, 0], [2.0, 2.0, 2.0, 1.0])


@pytest.mark.parametrize(
    ("energies", "clens", "number"),
    [((7000.0, 7005.0), (0.15, 0.15), 1), ((7000.0, 7100.0), (0.15, 0.15), 0),
     ((7000.0, 7000.0), (0.15, 0.152), 0)],
)  # fmt: skip
def test_frames_of_a_block_must_belong_together(energies, clens, number) -> None:
    """Else their light says nothing."""
    headers = [FrameHeader(*each) for each in zip(energies, clens, strict=True)]
    found = ring_light(headers, np.ones((5, 3, 2)))
    assert len(found) == number
    assert ring_light(headers, None) == []
    for light in found:
        assert light.photon_energy_ev == pytest.approx(np.mean(energies))
