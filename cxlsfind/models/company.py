"""What a candidate is, given what else is in its frame and its block.

A model tells how likely a candidate looks as a spot and as each kind of artefact, not how common
either is. The candidates of a block know. Spots come in bursts, in hits: how many there are is free
in every frame. What a detector does by itself, hot pixels that fire once, charged particles, edges,
comes at a rate that is the same for all frames, hits or not, and is never high. Rings and streaks
come as frames have them. So in a frame with sixty candidates of a block whose blanks have one each,
fifty-nine are spots, whatever they look like; and a line of pixels in a blank is a track.

Spots as sharp as a pixel look like hot pixels, and if one spot of an experiment does, others do:
their share among the spots is learnt from the block too. Candidates that background makes by chance
are neither.

All of it is settled by expectation maximisation, starting from one of everything per frame, and
with one frame that has one of everything counted beside those of the block: a candidate alone in
its block is left to its own odds, to a factor of two.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.records import PEAK_CLASSES

FloatArray = npt.NDArray[np.float64]

#: What detectors do by themselves, and how many of each a frame has at most, on average. Only
#: blocks without any blank need to be told: nothing else says there what is a spot.
MOST_PER_FRAME: Final = {"hot_pixel": 0.5, "track": 3.0, "edge": 1.0}

#: Share of the spots that look like hot pixels, and how many spots it is known from before any
#: are seen.
_SHARP_SHARE: Final = 0.01
_SHARP_KNOWN: Final = 10.0

#: Candidates that background makes, per frame, down to the depth that models are trained to.
_BY_CHANCE: Final = 60.0

_NOISE, _HOT, _EXTENDED = (PEAK_CLASSES.index(n) for n in ("noise", "hot_pixel", "extended"))
_STEADY: Final = [PEAK_CLASSES.index(name) for name in MOST_PER_FRAME]

#: Rounds until numbers have settled; fixed, so that nothing depends on rounding.
_ROUNDS: Final = 20

#: Larger log odds than this are as good as certain.
_CERTAIN: Final = 50.0


class Company(NamedTuple):
    """Who shares a frame and a block with whom.

    Parameters
    ----------
    frame
        Number of each candidate's frame, from 0; (n,).
    block
        Number of each frame's block, from 0, also of frames without candidates; (frames,).
    """

    frame: npt.NDArray[np.intp]
    block: npt.NDArray[np.intp]

    def take(self, rows: npt.NDArray[np.bool_]) -> Company:
        """Return the company of some of the candidates."""
        return self._replace(frame=self.frame[rows])


def alone(number: int) -> Company:
    """Return candidates each of which has a block to itself."""
    return Company(np.arange(number), np.arange(number))


def block_company(number: npt.NDArray[np.intp]) -> Company:
    """Return the candidates of one block, one frame after the other.

    Parameters
    ----------
    number
        How many each frame has, also of those that have none; (frames,).
    """
    return Company(np.repeat(np.arange(len(number)), number), np.zeros(len(number), np.intp))


def odds_in_company(classes: FloatArray, company: Company) -> FloatArray:
    """Return the log odds of an artefact against a spot, with what is common in frame and block.

    Parameters
    ----------
    classes
        Log odds of all classes against a spot, were all as common, in the order of
        :data:`~cxlsfind.records.PEAK_CLASSES`; (n, classes).
    """
    frame, block = company
    like = np.exp(np.clip(classes, -_CERTAIN, _CERTAIN))
    # Kinds first: rows of candidates are summed faster than columns.
    steady, most = np.ascontiguousarray(like[:, _STEADY].T), np.array([*MOST_PER_FRAME.values()])
    sharp, extended = like[:, _HOT], like[:, _EXTENDED]
    by_chance = _BY_CHANCE * like[:, _NOISE]
    n_frames, n_blocks = len(block), int(block.max(initial=-1)) + 1
    of = block[frame]
    frames = 1.0 + np.bincount(block, minlength=n_blocks)
    rate = np.tile(np.minimum(most, 1.0)[:, None], n_blocks)
    usual_spots, usual_extended = np.ones(n_blocks), np.ones(n_blocks)
    sharp_share = np.full(n_blocks, _SHARP_SHARE)
    is_spot, is_extended = np.zeros(len(frame)), np.zeros(len(frame))
    spots, pieces = np.zeros(n_frames), np.zeros(n_frames)
    as_spot, as_artefact = np.ones(len(frame)), np.ones(len(frame))
    for _ in range(_ROUNDS):
        # The others of its frame speak for a candidate, not itself.
        expected = (spots + usual_spots[block])[frame] - is_spot
        as_sharp = sharp_share[of] * sharp
        as_sharp *= expected
        as_spot = (1.0 - sharp_share)[of] * expected + as_sharp
        as_steady = rate[:, of] * steady
        as_extended = ((pieces + usual_extended[block])[frame] - is_extended) * extended
        as_artefact = as_steady.sum(axis=0) + as_extended
        share = 1.0 / (as_spot + as_artefact + by_chance)
        is_spot, is_extended = as_spot * share, as_extended * share
        spots, pieces = _sums(frame, is_spot, n_frames), _sums(frame, is_extended, n_frames)
        for kind, part in enumerate(as_steady):
            found = (_sums(of, part * share, n_blocks) + 1.0) / frames
            rate[kind] = np.minimum(found, most[kind])
        usual_spots = (_sums(block, np.minimum(spots, 1.0), n_blocks) + 1.0) / frames
        usual_extended = (_sums(block, np.minimum(pieces, 1.0), n_blocks) + 1.0) / frames
        n_sharp, n_spots = _sums(of, as_sharp * share, n_blocks), _sums(block, spots, n_blocks)
        sharp_share = (n_sharp + _SHARP_KNOWN * _SHARP_SHARE) / (n_spots + _SHARP_KNOWN)
    return np.asarray(np.log(as_artefact) - np.log(as_spot))


def _sums(place: npt.NDArray[np.intp], values: FloatArray, number: int) -> FloatArray:
    """Return the sums of the values that belong to each of so many places."""
    return np.asarray(np.bincount(place, values, number), np.float64)
