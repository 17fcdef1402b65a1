"""Scoring a peak model on whole frames, behind the finder."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from torch import nn

from cxlsfind.pipeline.blocks import BLOCK_FRAMES
from cxlsfind.sim.patterns import PatternSettings
from cxlsfind.sim.score import match_peaks
from cxlsfind.training.conditions import FRAME_KINDS, draw_settings
from cxlsfind.training.frames import FrameSource
from cxlsfind.training.judging import kept_peaks
from cxlsfind.training.reports import Section, Table
from cxlsfind.training.seeds import Part, seed_of

#: Shares of the frames with crystals; every experiment has one block of each.
HIT_RATES: Final = (0.02, 0.2, 1.0)

#: Fewest spots found in a block that say what part of them a model loses.
_FEWEST_SPOTS: Final = 20

#: False peaks asked for on clean blanks, and backgrounds, photons per pixel.
ASKED: Final = (0.1, 1.0, 10.0)
BACKGROUNDS: Final = (1e-4, 1e-3, 1e-2, 0.1, 1.0)


class _Tally(NamedTuple):
    """What came of the frames of a block, by the finder alone and with the model.

    Parameters
    ----------
    kind
        What is wrong with them.
    hit_rate
        Share of the frames with crystals.
    blanks
        Frames without.
    false, false_left
        Peaks on them.
    spots, spots_left
        Spots found on the others.
    """

    kind: str
    hit_rate: float
    blanks: int
    false: int
    false_left: int
    spots: int
    spots_left: int

    @property
    def lost(self) -> float:
        """Share of the spots that the model loses."""
        return 1.0 - self.spots_left / self.spots if self.spots else 0.0


def evaluate_frames(model: nn.Module, artefact_odds: float, frames: int, seed: int) -> Section:
    """Return what becomes of whole frames in the finder, with and without a peak model.

    Parameters
    ----------
    frames
        Of each kind and hit rate, in experiments of 64.
    seed
        The training's.
    """
    tallies = []
    for number, kind in enumerate((*FRAME_KINDS, "all")):
        for part in range(max(1, frames // BLOCK_FRAMES)):
            experiment = 100_000 * seed_of(seed, Part.SCORE) + 100 * number + part
            source = FrameSource(draw_settings(experiment, kind))
            for block, hit_rate in enumerate(HIT_RATES):
                flags = np.zeros(BLOCK_FRAMES, np.bool_)
                flags[: max(1, round(hit_rate * BLOCK_FRAMES))] = True
                np.random.default_rng((experiment, 22, block)).shuffle(flags)
                tallies.append(_tally(model, artefact_odds, source, kind, hit_rate, block, flags))
    return Section(
        "Whole frames of random experiments",
        ("At 1 false peak asked: peaks on frames without a crystal, and spots found with one; "
         f"blocks of {BLOCK_FRAMES} frames, of every experiment one with crystals in "
         f"{', '.join(f'{rate:.0%}' for rate in HIT_RATES)} of the frames; crystals, conditions "
         f"and detector faults of their own seeds. Worst is the block, of those with "
         f"{_FEWEST_SPOTS} spots or more, that loses the largest part.",),
        (_false_peaks(tallies), _spots(tallies), _by_hit_rate(tallies)),
    )  # fmt: skip


def _tally(
    model: nn.Module,
    artefact_odds: float,
    source: FrameSource,
    kind: str,
    hit_rate: float,
    block: int,
    flags: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> _Tally:
    found = source.block(block * BLOCK_FRAMES, flags.tolist())
    numbers = np.zeros(4, np.int64)
    for one, left in zip(found, kept_peaks(model, artefact_odds, source, found), strict=True):
        peaks = one.result.peaks
        listed = np.arange(len(peaks)) < one.result.n_peaks
        if not one.pattern.is_hit:
            numbers[:2] += listed.sum(), left.sum()
            continue
        spots = np.column_stack([one.pattern.spots["fs"], one.pattern.spots["ss"]])
        places = np.column_stack([peaks["fs"], peaks["ss"]])
        matched = match_peaks(spots, places[listed])
        # A spot is lost if its peak is: another one nearby does not stand for it.
        kept = left[listed][matched[matched >= 0]]
        numbers[2:] += len(kept), kept.sum()
    return _Tally(kind, hit_rate, int((~flags).sum()), *numbers.tolist())


def _false_peaks(tallies: list[_Tally]) -> Table:
    rows = []
    clean = [one for one in tallies if one.kind == "clean"]
    for kind in dict.fromkeys(one.kind for one in tallies):
        mine = [one for one in tallies if one.kind == kind]
        blanks, found = sum(one.blanks for one in mine), _per_blank(mine)
        more = np.subtract(found, _per_blank(clean))
        cells = [f"{each:.3f} +- {math.sqrt(each / max(blanks, 1)):.3f}" for each in found]
        rows.append((kind, *cells, *(f"{value:.3f}" for value in more), str(blanks)))
    header = ("frames", "alone", "with the model", "more than clean, alone", "with the model",
              "blanks")  # fmt: skip
    return Table("False peaks per blank frame", header, tuple(rows))


def _per_blank(tallies: list[_Tally]) -> tuple[float, float]:
    blanks = max(sum(one.blanks for one in tallies), 1)
    return (
        sum(one.false for one in tallies) / blanks,
        sum(one.false_left for one in tallies) / blanks,
    )


def _spots(tallies: list[_Tally]) -> Table:
    kinds = dict.fromkeys(one.kind for one in tallies)
    rows = [(kind, *_row_of_spots(one for one in tallies if one.kind == kind)) for kind in kinds]
    rows.append(("together", *_row_of_spots(tallies)))
    return Table("Spots found, by what is wrong", ("frames", *_SPOT_COLUMNS), tuple(rows))


def _by_hit_rate(tallies: list[_Tally]) -> Table:
    rows = [
        (f"{rate:.0%}", *_row_of_spots(one for one in tallies if one.hit_rate == rate))
        for rate in HIT_RATES
    ]
    return Table("Spots found, by hit rate", ("hits", *_SPOT_COLUMNS), tuple(rows))


_SPOT_COLUMNS: Final = ("alone", "with the model", "lost", "worst loses")


def _row_of_spots(tallies: Iterable[_Tally]) -> tuple[str, ...]:
    mine = list(tallies)
    spots, left = sum(one.spots for one in mine), sum(one.spots_left for one in mine)
    worst = max((one for one in mine if one.spots >= _FEWEST_SPOTS), key=lambda one: one.lost,
                default=None)  # fmt: skip
    said = "-"
    if worst is not None:
        said = f"{worst.spots - worst.spots_left} of {worst.spots} ({worst.lost:.1%})"
        said += f", {worst.kind}, {worst.hit_rate:.0%} hits"
    return str(spots), str(left), f"{1.0 - left / max(spots, 1):.2%}", said


def evaluate_blanks(model: nn.Module, artefact_odds: float, frames: int, seed: int) -> Section:
    """Return how many false peaks clean blank frames have, for those asked.

    Parameters
    ----------
    frames
        Frames with one false peak asked; five times as many where a tenth is.
    seed
        The training's.
    """
    rows = []
    for number, background in enumerate(BACKGROUNDS):
        cells = []
        for column, asked in enumerate(ASKED):
            experiment = 100_000 * seed_of(seed, Part.SCORE) + 80_000 + 10 * number + column
            settings = draw_settings(experiment, background=(background, 1.001 * background))
            n_frames = 5 * frames if asked < 1.0 else frames
            expected, alone, left = _count_blanks(model, artefact_odds, settings, asked, n_frames)
            wanted = asked * n_frames
            seen, kept = f"{alone / wanted:.2f}", f"{left / wanted:.2f}"
            error = f"{math.sqrt(max(left, 1)) / wanted:.2f}"
            cells.append(f"{seen}, {kept} +- {error} ({expected / wanted:.2f})")
        rows.append((f"{background:g}", *cells))
    header = ("photons/px", *(f"asked {asked:g}" for asked in ASKED))
    return Section(
        "False peaks on clean blanks, seen over asked",
        ("Whole frames behind the finder: alone, with the model, and in brackets what the finder "
         "says that its threshold makes. Below 0.01 photons per pixel counts come in steps: less "
         "than asked is all there is.",),
        (Table("Seen over asked", header, tuple(rows)),),
    )  # fmt: skip


def _count_blanks(
    model: nn.Module, artefact_odds: float, settings: PatternSettings, asked: float, n_frames: int
) -> tuple[float, int, int]:
    """Return false peaks that the finder expects, finds, and that a model leaves."""
    source = FrameSource(settings, asked)
    expected, alone, left = 0.0, 0, 0
    for first in range(0, n_frames, BLOCK_FRAMES):
        found = source.block(first, [False] * min(BLOCK_FRAMES, n_frames - first))
        expected += sum(one.result.expected_false for one in found)
        alone += sum(one.result.n_peaks for one in found)
        left += sum(int(rows.sum()) for rows in kept_peaks(model, artefact_odds, source, found))
    return expected, alone, left
