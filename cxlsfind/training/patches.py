"""Candidates to train and test the peak model on, simulated patch by patch.

Every candidate went through what the finder does to a frame: it is a local maximum of the log
likelihood ratio, and the ratio is as high as background alone makes it ten times per frame.
Everything is settled by a seed.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from cxlsfind.finding.poisson.scores import typical_photons
from cxlsfind.models.likelihood import LikelihoodRatio, SpotTables
from cxlsfind.training.null import (
    PATCH_SIDE,
    draw_null,
    is_maximum,
    score_at_rate,
    score_maps,
    spread_to_neighbours,
)
from cxlsfind.training.scenes import (
    HALF,
    NUISANCES,
    PatchClass,
    Scene,
    add_spots,
    empty_scene,
    mask_pixels,
)

FloatArray = npt.NDArray[np.float64]
_T = TypeVar("_T", bound=np.generic)

#: Pixels that the rates of false peaks refer to: an EIGER2 4M.
FRAME_PIXELS: Final = 4.2e6

#: Candidates are taken down to this many false ones per frame: ten on half a million pixels.
DEEPEST: Final = 60.0

#: Backgrounds that models are trained on, photons per pixel.
LEVELS: Final = (1e-5, 20.0)

_LOG_LEVELS = (math.log(LEVELS[0]), math.log(LEVELS[1]))
_BATCH = 2000
_REACH = 2
_NODE_STEP = 6


class PatchSet(NamedTuple):
    """Candidates and the truth about them; arrays of equal length.

    Parameters
    ----------
    counts, background, mask
        Patches, (n, 11, 11): photons, uint16; what the finder believes of the background,
        float32; usable pixels, uint8.
    label
        :class:`~cxlsfind.training.scenes.PatchClass`; int64.
    offset
        Centre of the spot, px (fs, ss) from the middle of the middle pixel, (n, 2), float32; NaN
        for everything else.
    photons
        Expected photons of the spot, float32; NaN for everything else.
    level
        True background in the middle, photons per pixel, float32.
    """

    counts: npt.NDArray[np.uint16]
    background: npt.NDArray[np.float32]
    mask: npt.NDArray[np.uint8]
    label: npt.NDArray[np.int64]
    offset: npt.NDArray[np.float32]
    photons: npt.NDArray[np.float32]
    level: npt.NDArray[np.float32]

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice) -> PatchSet:
        """Return some of the candidates."""
        return PatchSet(
            self.counts[rows],
            self.background[rows],
            self.mask[rows],
            self.label[rows],
            self.offset[rows],
            self.photons[rows],
            self.level[rows],
        )


def join_patches(sets: list[PatchSet]) -> PatchSet:
    """Return the candidates of several sets, one after the other."""
    return PatchSet(*(np.concatenate(arrays) for arrays in zip(*sets, strict=True)))


class Thresholds(NamedTuple):
    """Scores that background alone reaches so many times per frame, by background.

    Parameters
    ----------
    log_background
        Nodes, natural logarithm of photons per pixel.
    scores
        Log likelihood ratios at the nodes.
    """

    log_background: FloatArray
    scores: FloatArray

    def at(self, background: npt.ArrayLike) -> FloatArray:
        """Return the score needed at any background."""
        return np.interp(np.log(background), self.log_background, self.scores)


def find_thresholds(
    tables: SpotTables,
    ratio: LikelihoodRatio,
    false_peaks: float,
    seed: int = 0,
    n_patches: int = 4000,
) -> Thresholds:
    """Return the scores that so many false maxima per frame reach, from weighted draws."""
    first, last = np.searchsorted(tables.log_background, _LOG_LEVELS)
    nodes = tables.log_background[max(first - 1, 0) : last + _NODE_STEP : _NODE_STEP]
    log_rate = math.log(false_peaks / FRAME_PIXELS)
    scores = np.empty(len(nodes))
    for number, node in enumerate(nodes):
        draw = draw_null(
            tables,
            ratio,
            math.exp(node),
            np.random.default_rng((seed, number)),
            n_patches,
        )
        scores[number] = score_at_rate(draw.score, draw.log_weight, log_rate)
    return Thresholds(nodes, scores)


class PatchSimulator:
    """Makes candidates of every kind.

    Parameters
    ----------
    tables
        The finder's score.
    """

    def __init__(self, tables: SpotTables, seed: int = 0, n_null: int = 4000) -> None:
        self.tables = tables
        self.ratio = LikelihoodRatio(tables)
        self.n_null = n_null
        self.deep = find_thresholds(tables, self.ratio, DEEPEST, seed, n_null)

    def spots(self, number: int, seed: int) -> PatchSet:
        """Return candidates that are spots."""
        return self._collect("spot", number, seed)

    def nuisances(self, kind: str, number: int, seed: int) -> PatchSet:
        """Return candidates of a kind of :data:`~cxlsfind.training.scenes.NUISANCES`."""
        return self._collect(kind, number, seed)

    def noise(self, number: int, seed: int) -> PatchSet:
        """Return candidates that background alone makes; some with a slightly wrong belief."""
        generator = np.random.default_rng((seed, 1))
        parts: list[PatchSet] = []
        found = 0
        while found < number:
            level = float(np.exp(generator.uniform(*_LOG_LEVELS)))
            believed = level * math.exp(generator.normal(0.0, 0.02 if level > 0.1 else 0.06))
            sharing = 0.0 if generator.random() < 0.8 else float(generator.uniform(0.0, 0.03))
            usable = _random_mask(generator, self.n_null)
            draw = draw_null(
                self.tables, self.ratio, level, generator, self.n_null, believed, sharing, usable
            )
            rows = draw.resample(float(self.deep.at(believed)), 400, generator)
            part = PatchSet(
                counts=draw.counts[rows],
                background=np.full((len(rows), PATCH_SIDE, PATCH_SIDE), believed, np.float32),
                mask=draw.usable[rows].astype(np.uint8),
                label=np.full(len(rows), PatchClass.NOISE, np.int64),
                offset=np.full((len(rows), 2), np.nan, np.float32),
                photons=np.full(len(rows), np.nan, np.float32),
                level=np.full(len(rows), level, np.float32),
            )
            parts.append(turn_patches(part, generator))
            found += len(rows)
        return join_patches(parts).take(slice(number))

    def _collect(self, kind: str, number: int, seed: int) -> PatchSet:
        names = ["spot", *NUISANCES]
        generator = np.random.default_rng((seed, 2 + names.index(kind)))
        parts: list[PatchSet] = []
        found = 0
        while found < number:
            part = self._candidates(kind, min(_BATCH, 100 + 2 * number), generator)
            parts.append(part)
            found += len(part.label)
        return join_patches(parts).take(slice(number))

    def _candidates(self, kind: str, number: int, generator: np.random.Generator) -> PatchSet:
        level = np.exp(generator.uniform(*_LOG_LEVELS, number))
        scene = empty_scene(generator, level, typical_photons(level))
        if kind == "spot":
            label = PatchClass.SPOT
            add_spots(scene, generator)
        else:
            label, add = NUISANCES[kind]
            add(scene, generator)
        mask_pixels(scene, generator, 0.25)
        return self.candidates_of(scene, label, generator)

    def candidates_of(
        self, scene: Scene, label: PatchClass, generator: np.random.Generator
    ) -> PatchSet:
        """Count the photons of a scene, and return the maxima near the middles of its patches."""
        counts = generator.poisson(scene.mean)
        share = np.where(generator.random(len(scene)) < 0.3, generator.uniform(0, 0.05), 0.0)
        shared = generator.binomial(counts, share[:, None, None])
        counts = (counts + spread_to_neighbours(shared, generator) + scene.extra) * scene.usable
        seen = np.minimum(counts, 65535).astype(np.uint16)
        inner = slice(HALF - 7, HALF + 8)
        believed = scene.believed.astype(np.float32)
        maps = score_maps(
            self.ratio,
            seen[:, inner, inner],
            believed[:, inner, inner],
            scene.usable[:, inner, inner],
        )
        around = maps[:, _REACH:-_REACH, _REACH:-_REACH].reshape(len(scene), -1)
        ss, fs = np.divmod(around.argmax(axis=1), 2 * _REACH + 1)
        window = np.lib.stride_tricks.sliding_window_view(maps, (5, 5), axis=(1, 2))
        rows = np.arange(len(scene))
        is_best = is_maximum(window[rows, ss, fs])
        middle = believed[rows, HALF - _REACH + ss, HALF - _REACH + fs]
        kept = rows[is_best & (around[rows, 5 * ss + fs] >= self.deep.at(middle))]
        ss, fs = ss[kept] - _REACH, fs[kept] - _REACH
        steps = np.arange(PATCH_SIDE) - PATCH_SIDE // 2 + HALF
        where = (
            kept[:, None, None],
            (ss[:, None] + steps)[:, :, None],
            (fs[:, None] + steps)[:, None, :],
        )
        offset = (scene.centre[kept] - np.column_stack([ss, fs]))[:, ::-1]
        is_spot = np.isfinite(scene.photons[kept])[:, None]
        # A maximum farther away is not the spot's.
        near = ~is_spot[:, 0] | (np.hypot(*offset.T) <= _REACH)
        return PatchSet(
            counts=seen[where],
            background=believed[where],
            mask=scene.usable[where].astype(np.uint8),
            label=np.full(len(kept), label, np.int64),
            offset=np.where(is_spot, offset, np.nan).astype(np.float32),
            photons=scene.photons[kept].astype(np.float32),
            level=scene.level[kept].astype(np.float32),
        ).take(near)


def turn_patches(patches: PatchSet, generator: np.random.Generator) -> PatchSet:
    """Turn and mirror every patch at random: nothing here knows left from right."""
    operation = generator.integers(0, 8, len(patches.label))
    offset = patches.offset.copy()
    offset[operation & 1 > 0, 1] *= -1
    offset[operation & 2 > 0, 0] *= -1
    offset[operation & 4 > 0] = offset[operation & 4 > 0, ::-1]
    return patches._replace(
        counts=_turn(patches.counts, operation),
        background=_turn(patches.background, operation),
        mask=_turn(patches.mask, operation),
        offset=offset,
    )


def _turn(images: npt.NDArray[_T], operation: npt.NDArray[np.int64]) -> npt.NDArray[_T]:
    turned = images.copy()
    turned[operation & 1 > 0] = turned[operation & 1 > 0, ::-1]
    turned[operation & 2 > 0] = turned[operation & 2 > 0, :, ::-1]
    turned[operation & 4 > 0] = turned[operation & 4 > 0].transpose(0, 2, 1)
    return turned


def _random_mask(generator: np.random.Generator, number: int) -> npt.NDArray[np.bool_]:
    """Return masks of patches, a few of them with gaps and dead pixels."""
    level = np.ones(number)
    scene = empty_scene(generator, level, level)
    mask_pixels(scene, generator, 0.15)
    inner = slice(HALF - PATCH_SIDE // 2, HALF + PATCH_SIDE // 2 + 1)
    return scene.usable[:, inner, inner]
