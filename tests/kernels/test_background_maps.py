"""Passes over rings, tiles and words against plain numpy."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlsfind.kernels.background_maps import (
    bin_words,
    count_members,
    count_shapes,
    drop_from_tiles,
    drop_values,
    expect_tiles,
    factor_at,
    find_directions,
    list_odd_pixels,
    list_tile_rings,
    lowest_of_words,
    spot_moments,
    sum_rings,
    sum_tiles,
    take_from,
)

SEEDS = st.integers(0, 2**32 - 1)
#: Rows, pixels a row and side of the tiles; tiles may stick out, and may be larger than the sheet.
SHAPES = st.sampled_from([(24, 64, 8), (25, 128, 12), (7, 64, 12), (40, 192, 5), (12, 128, 1)])


def draw_sheet(
    generator: np.random.Generator, n_rows: int, stride: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw rings around a point and usable pixels; some tiles and words have none."""
    row, column = np.mgrid[:n_rows, :stride]
    centre = generator.uniform(-50, 100, 2)
    ring = np.hypot(row - centre[0], column - centre[1]).astype(np.int32)
    outside = column < generator.integers(0, stride)
    outside |= generator.random(ring.shape) < 0.05
    ring[outside] = -1
    usable = (ring >= 0) & (generator.random(ring.shape) < 0.9)
    return ring.ravel(), usable.ravel()


def tiles_of(n_rows: int, stride: int, side: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the tile of every pixel, and the number of tiles down and across."""
    shape = -(-n_rows // side), -(-stride // side)
    row, column = np.mgrid[:n_rows, :stride]
    return (row // side * shape[1] + column // side).ravel(), shape


def draw_tiles(
    seed: int, shape: tuple[int, int, int]
) -> tuple[np.random.Generator, np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    """Draw a sheet: the generator that did, rings, usable pixels, their tiles, and how many."""
    n_rows, stride, side = shape
    generator = np.random.default_rng(seed)
    return generator, *draw_sheet(generator, n_rows, stride), *tiles_of(n_rows, stride, side)


@given(SEEDS, st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 5, 12]))
@settings(max_examples=30)
def test_factor_between_tiles(
    naive_canvas: ModuleType, seed: int, down: int, across: int, side: int
) -> None:
    """The factor is linear between the middles of tiles, and level beyond the outer ones."""
    factor = np.random.default_rng(seed).uniform(0.1, 3.0, (down, across)).astype(np.float32)
    expected = naive_canvas.factor_map(factor, side, down * side, across * side)
    ours = [
        [factor_at(factor, side, row, column) for column in range(across * side)]
        for row in range(down * side)
    ]
    assert np.allclose(ours, expected, rtol=1e-12)


@given(SEEDS, SHAPES, st.sampled_from([1, 8]))
@settings(max_examples=20)
def test_words_have_the_bin_of_their_mean_ring(
    seed: int, shape: tuple[int, int, int], rings_per_bin: int
) -> None:
    """The mean ring of usable pixels, rounded down, decides; no pixel, no bin."""
    n_rows, stride, _ = shape
    ring, usable = draw_sheet(np.random.default_rng(seed), n_rows, stride)
    bins = np.empty(ring.size // 64, np.int32)
    bin_words(ring, usable, rings_per_bin, bins)
    for word, where in enumerate(bins):
        rings = ring[64 * word : 64 * word + 64][usable[64 * word : 64 * word + 64]]
        assert where == (int(rings.sum()) // rings.size // rings_per_bin if rings.size else -1)


@given(SEEDS, SHAPES)
@settings(max_examples=30)
def test_tiles_know_their_rings(seed: int, shape: tuple[int, int, int]) -> None:
    """Entries count the usable pixels of each ring in each tile, and give pixels up again."""
    generator, ring, usable, tile, grid = draw_tiles(seed, shape)
    _, stride, side = shape
    first = np.empty(grid[0] * grid[1] + 1, np.int64)
    entry_ring, pixels = np.full((2, ring.size), -7, np.int32)
    n = list_tile_rings(ring, usable, stride, side, first, entry_ring, pixels)
    pairs, numbers = np.unique(
        np.column_stack([tile[usable], ring[usable]]), axis=0, return_counts=True
    )
    assert n == len(pairs)
    assert np.array_equal(entry_ring[:n], pairs[:, 1])
    assert np.array_equal(pixels[:n], numbers)
    assert np.array_equal(first, np.searchsorted(pairs[:, 0], np.arange(len(first))))
    lost = np.flatnonzero(usable & (generator.random(ring.size) < 0.1)).astype(np.int32)
    drop_from_tiles(lost, ring, stride, side, first, entry_ring, pixels)
    for number in range(len(first) - 1):
        for entry in range(first[number], first[number + 1]):
            of_ring = (tile[lost] == number) & (ring[lost] == entry_ring[entry])
            assert pixels[entry] == numbers[entry] - of_ring.sum()
    per_pixel = generator.uniform(0.0, 2.0, ring.max() + 2)
    expected = np.full(len(first) - 1, np.nan)
    expect_tiles(first, entry_ring, pixels, per_pixel, expected)
    kept = usable.copy()
    kept[lost] = False
    naive = np.bincount(tile[kept], per_pixel[ring[kept]], minlength=len(expected))
    assert np.allclose(expected, naive, rtol=1e-12, atol=1e-9)


@given(SEEDS, SHAPES)
@settings(max_examples=20)
def test_pixels_are_counted_and_dropped(seed: int, shape: tuple[int, int, int]) -> None:
    """Pixels count for their rings and words' groups, and tiles lose what their rings expect."""
    generator, ring, usable, tile, grid = draw_tiles(seed, shape)
    _, stride, side = shape
    pixels = np.flatnonzero(usable & (generator.random(ring.size) < 0.1)).astype(np.int32)
    group = generator.integers(0, 5, ring.size // 64).astype(np.int32)
    by_ring, by_group = np.ones(ring.max() + 2, np.int64), np.ones(5, np.int64)
    count_members(pixels, ring, group, by_ring, by_group)
    assert np.array_equal(by_ring, 1 + np.bincount(ring[pixels], minlength=len(by_ring)))
    assert np.array_equal(by_group, 1 + np.bincount(group[pixels // 64], minlength=5))
    per_pixel = generator.uniform(0.0, 2.0, ring.max() + 2)
    sums = np.full(grid, 9.0)
    drop_values(pixels, ring, per_pixel, stride, side, sums)
    naive = 9.0 - np.bincount(tile[pixels], per_pixel[ring[pixels]], minlength=sums.size)
    assert np.allclose(sums.ravel(), naive, rtol=1e-12, atol=1e-9)


@given(SEEDS, SHAPES)
@settings(max_examples=20)
def test_shapes_are_counted(seed: int, shape: tuple[int, int, int]) -> None:
    """Every usable pixel falls into the bin of its shape's logarithm, the last one at the most."""
    generator, ring, usable, tile, grid = draw_tiles(seed, shape)
    _, stride, side = shape
    first = np.empty(grid[0] * grid[1] + 1, np.int64)
    entry_ring, pixels = np.empty((2, ring.size), np.int32)
    list_tile_rings(ring, usable, stride, side, first, entry_ring, pixels)
    of_rings = generator.uniform(-3.0, 1.0, ring.max() + 2)
    of_tiles = generator.uniform(-1.0, 1.0, grid[0] * grid[1])
    bins = np.ones(40, np.int64)
    count_shapes(first, entry_ring, pixels, of_rings, of_tiles, -4.0, 0.125, bins)
    places = ((of_rings[ring] + (of_tiles[tile] + 4.0)) / 0.125)[usable].astype(int)
    assert np.array_equal(bins, 1 + np.bincount(np.minimum(places, 39), minlength=40))


def test_entries_beyond_the_room_are_counted() -> None:
    """Results that are too short are filled and not overrun, and the full number is returned."""
    ring, usable = draw_sheet(np.random.default_rng(2), 24, 64)
    first, again = np.empty((2, 25), np.int64)
    everything, numbers = np.empty((2, ring.size), np.int32)
    n = list_tile_rings(ring, usable, 64, 8, first, everything, numbers)
    assert n > 10
    short, pixels = np.full((2, 12), -7, np.int32)
    assert list_tile_rings(ring, usable, 64, 8, again, short[:10], pixels[:10]) == n
    assert short.tolist() == [*everything[:10], -7, -7]
    assert pixels.tolist() == [*numbers[:10], -7, -7]
    assert np.array_equal(first, again)


def test_rings_far_apart_in_one_tile() -> None:
    """A tile may hold rings that have nothing to do with each other, as of two panels."""
    ring = np.where(np.arange(64 * 8) % 2, 3, 4000).astype(np.int32)
    first = np.empty(9, np.int64)
    entry_ring, pixels = np.empty((2, 99), np.int32)
    assert list_tile_rings(ring, ring > 0, 64, 8, first, entry_ring, pixels) == 16
    assert entry_ring[:16].tolist() == [3, 4000] * 8
    assert (pixels[:16] == 32).all()


@given(SEEDS, SHAPES)
@settings(max_examples=20)
def test_sums_over_tiles_and_rings(seed: int, shape: tuple[int, int, int]) -> None:
    """Usable pixels are added to what their tile and ring hold already, without overflow."""
    generator, ring, usable, tile, grid = draw_tiles(seed, shape)
    _, stride, side = shape
    values = generator.integers(0, 50, ring.size).astype(np.uint32)
    values[generator.random(ring.size) < 0.01] = 2**32 - 1
    tiles = np.ones(grid[0] * grid[1])
    sum_tiles(values, usable, stride, side, tiles)
    exact = values[usable].astype(np.float64)
    assert np.array_equal(tiles, 1 + np.bincount(tile[usable], exact, minlength=len(tiles)))
    rings = np.ones(ring.max() + 2, np.int64)
    sum_rings(values, ring, usable, rings)
    assert np.array_equal(rings, 1 + np.bincount(ring[usable], exact, minlength=len(rings)))


@given(SEEDS, SHAPES)
@settings(max_examples=20)
def test_lowest_background_of_words(
    naive_canvas: ModuleType, seed: int, shape: tuple[int, int, int]
) -> None:
    """Every eighth pixel is looked at, from the middle of the first eight on."""
    generator = np.random.default_rng(seed)
    n_rows, stride, side = shape
    ring, _ = draw_sheet(generator, n_rows, stride)
    _, grid = tiles_of(n_rows, stride, side)
    profile = generator.uniform(0.1, 5.0, ring.max() + 2)
    factor = generator.uniform(0.5, 2.0, grid).astype(np.float32)
    lowest = np.empty(ring.size // 64, np.float32)
    lowest_of_words(profile, factor, side, ring, stride // 64, lowest)
    level = profile[ring] * naive_canvas.factor_map(factor, side, n_rows, stride).ravel()
    level[ring < 0] = np.inf
    sampled = level.reshape(-1, 64)[:, 4::8].min(axis=1)
    assert np.allclose(lowest, np.where(np.isinf(sampled), 1.0, sampled), rtol=1e-6)


@given(SEEDS, SHAPES)
@settings(max_examples=30)
def test_odd_pixels(naive_canvas: ModuleType, seed: int, shape: tuple[int, int, int]) -> None:
    """Pixels with far too many or too few votes are listed with what they should have."""
    generator, ring, usable, tile, grid = draw_tiles(seed, shape)
    n_rows, stride, side = shape
    hoped = generator.uniform(0.1, 40.0, ring.max() + 2)
    factor = generator.uniform(0.5, 2.0, grid).astype(np.float32)
    votes = generator.poisson(hoped[ring] * factor.ravel()[tile]).astype(np.uint32)
    strange = generator.random(ring.size) < 0.1
    votes[strange] = generator.integers(0, 100, strange.sum())
    odd = np.full(ring.size, -7, np.int32)
    mean = np.full(ring.size, np.nan)
    n = list_odd_pixels(votes, hoped, factor, side, ring, usable, stride, odd, mean)
    rough = hoped[ring] * factor.ravel()[tile]
    far = abs(votes - rough) > 3.0 * np.sqrt(rough) + 1.0
    expected = np.flatnonzero(far & usable)
    assert np.array_equal(odd[:n], expected)
    smooth = hoped[ring] * naive_canvas.factor_map(factor, side, n_rows, stride).ravel()
    assert np.allclose(mean[:n], smooth[expected], rtol=1e-12)
    assert (odd[n:] == -7).all()
    short, means = odd[: n // 2].copy(), mean[: n // 2].copy()
    assert list_odd_pixels(votes, hoped, factor, side, ring, usable, stride, short, means) == n
    assert np.array_equal(short, expected[: n // 2])


@pytest.mark.parametrize("n_directions", [8, 180])
def test_directions_of_the_radius(n_directions: int) -> None:
    """The direction is that from the centre, opposite ones alike, up to the edges of panels."""
    n_rows, stride = 120, 192
    row, column = np.mgrid[:n_rows, :stride]
    down, right = row - 57.3, column - 80.6
    ring = np.hypot(down, right).astype(np.int32)
    inside = np.zeros(ring.shape, np.bool_)
    inside[8:50, 8:-8] = inside[58:-8, 8:100] = True  # two panels
    ring[~inside] = -1
    positions = np.flatnonzero(inside & (np.hypot(down, right) > 20)).astype(np.int32)
    directions = np.full(positions.size, -7)
    find_directions(positions, ring.ravel(), stride, n_directions, directions)
    assert directions.min() >= 0
    assert directions.max() < n_directions
    truth = (np.arctan2(down, right) / np.pi * n_directions).ravel()[positions]
    off = (directions - truth + 0.5 * n_directions) % n_directions - 0.5 * n_directions
    # Rings are whole numbers, and the radius bends over the pixels that are compared.
    assert np.abs(off).max() < 0.5 + 0.15 * n_directions
    assert np.sqrt(np.mean(off**2)) < 0.3 + 0.03 * n_directions


def test_directions_on_single_pixels() -> None:
    """Where a panel has one row, column or pixel, nothing is read beyond it."""
    ring = np.full(64 * 9, -1, np.int32)
    ring[130:140] = np.arange(30, 40)  # a row
    ring[[200, 264, 328]] = [50, 52, 54]  # a column
    ring[500] = 9
    positions = np.array([130, 139, 200, 328, 500], np.int32)
    directions = np.full(5, -7)
    find_directions(positions, ring, 64, 8, directions)
    assert directions.tolist() == [0, 0, 4, 4, 0]


@given(st.integers(2, 6), st.sampled_from([0.0, 0.5, 6.0]), st.integers(1, 8), SEEDS)
@settings(max_examples=20)
def test_moments_of_spots(
    naive_canvas: ModuleType, n_planes: int, mean: float, half: int, seed: int
) -> None:
    """Photons above background are weighted with squared distances, along the radius and across."""
    generator = np.random.default_rng(seed)
    n_rows, stride = 40, 128
    counts = naive_canvas.draw_counts(generator, n_rows * stride, mean, n_planes)
    usable = generator.random(counts.size) < 0.9
    row, column = generator.integers(8, n_rows - 8, 5), generator.integers(8, stride - 8, 5)
    angle, background = generator.uniform(0.0, np.pi, 5), generator.uniform(0.0, 2.0, 5)
    sums = np.full((5, 4), np.nan)
    spot_moments(
        naive_canvas.planes_of(counts, n_planes),
        *naive_canvas.listed(counts, n_planes),
        usable,
        stride,
        (row * stride + column).astype(np.int32),
        angle,
        background,
        half,
        sums,
    )
    rows, columns = np.divmod(np.arange(counts.size), stride)
    expected = np.zeros((5, 4))
    for spot in range(5):
        down, right = rows - row[spot], columns - column[spot]
        along = abs(right * np.cos(angle[spot]) + down * np.sin(angle[spot]))
        across = abs(down * np.cos(angle[spot]) - right * np.sin(angle[spot]))
        near = (np.maximum(abs(down), abs(right)) <= half) & usable
        strip = near & (along <= half) & (across <= 0.25 * half)
        turned = near & (across <= half) & (along <= 0.25 * half)
        excess = counts - background[spot]
        expected[spot, 0] = excess[strip].sum()
        expected[spot, 1] = excess[strip] @ along[strip] ** 2
        expected[spot, 2] = counts[strip].sum()
        expected[spot, 3] = excess[turned] @ across[turned] ** 2
    assert np.allclose(sums, expected, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("usable", [True, False])
def test_a_detector_without_photons(usable: bool) -> None:
    """Nothing is odd where nothing is expected, and nothing is summed."""
    ring = np.zeros(64 * 6, np.int32)
    flags = np.full(ring.size, usable)
    votes = np.zeros(ring.size, np.uint32)
    odd, mean = np.empty(9, np.int32), np.empty(9)
    one = np.ones((1, 1), np.float32)
    assert list_odd_pixels(votes, np.array([1e-9]), one, 64, ring, flags, 64, odd, mean) == 0
    sums = np.zeros(1, np.int64)
    sum_rings(votes, ring, flags, sums)
    assert not sums.any()


def test_chosen_rings_are_taken() -> None:
    """Pixels of chosen rings come from the source, all others stay."""
    generator = np.random.default_rng(3)
    source, target = generator.integers(0, 99, (2, 500)).astype(np.uint32)
    ring = generator.integers(0, 6, 500).astype(np.int32)
    chosen = np.array([True, False, True, True, False, False])
    expected = np.where(chosen[ring], source, target)
    take_from(source, chosen, ring, target)
    assert np.array_equal(target, expected)
