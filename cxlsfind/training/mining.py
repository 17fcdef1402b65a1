"""Candidates from whole simulated frames: real spots, and what nuisances make the finder take.

Patches drawn one by one know no lattice, no jet and no detector; frames do. They are searched by
the default finder, and its candidates are told apart by the truth. With a model at hand, the
nuisances that it takes for spots are chosen: hard negatives.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from cxlsfind.models.hit_inputs import expected_false
from cxlsfind.sim.detector import Detector
from cxlsfind.sim.negatives import Negative
from cxlsfind.training.conditions import FRAME_KINDS, SMALL_DETECTOR, draw_settings
from cxlsfind.training.frames import FoundFrame, FrameSource
from cxlsfind.training.patches import PatchSet, join_patches
from cxlsfind.training.peak_task import judge_patches
from cxlsfind.training.scenes import PatchClass
from cxlsfind.training.seeds import Part, seed_of

FloatArray = npt.NDArray[np.float64]

#: Frames of an experiment.
_FRAMES: Final = 32

#: A candidate this near to a spot is the spot; one farther than the second distance is not.
_NEAR_PX: Final = 1.5
_FAR_PX: Final = 7.0

#: Spots with fewer expected photons are neither spots nor not.
_FEWEST_PHOTONS: Final = 1.0

#: Candidates on a nuisance blank that background alone makes less often per frame are its doing.
_NOT_CHANCE: Final = 0.3

#: Log odds of a spot above which a nuisance fools the model.
_FOOLED: Final = -2.0

#: What the candidates of a kind of frames are that are neither spots nor chance. Ice, salt and
#: precipitant make true Bragg spots: not for patches to tell.
_CLASS_OF: Final = {
    "hot": PatchClass.HOT_PIXEL,
    "cosmic": PatchClass.TRACK,
    "streak": PatchClass.EXTENDED,
    "sharing": PatchClass.NOISE,
}


def mine_frames(
    n_frames: int, seed: int, part: Part, *, detector: Detector = SMALL_DETECTOR
) -> PatchSet:
    """Return labelled candidates of frames of random experiments.

    Parameters
    ----------
    n_frames
        Frames, in blocks of 32: half of them with crystals.
    part
        What the candidates are for: experiments of different parts have nothing in common.
    """
    sets: list[PatchSet] = []
    for number in range(max(1, round(n_frames / _FRAMES))):
        kind = FRAME_KINDS[number % len(FRAME_KINDS)]
        experiment = 100_000 * seed_of(seed, part) + number
        source = FrameSource(draw_settings(experiment, kind, detector=detector))
        flags = np.random.default_rng((experiment, 3)).random(_FRAMES) < 0.5
        sets += [label_candidates(found, kind) for found in source.block(0, flags.tolist())]
    return join_patches(sets)


def label_candidates(found: FoundFrame, kind: str) -> PatchSet:
    """Return the candidates of a frame whose nature is known.

    Parameters
    ----------
    kind
        What is wrong with the frame.
    """
    peaks, pattern = found.result.peaks, found.pattern
    n = len(peaks)
    spots = pattern.spots
    apart_fs = peaks["fs"][:, None] - spots["fs"]
    apart_ss = peaks["ss"][:, None] - spots["ss"]
    distance = np.hypot(apart_fs, apart_ss)
    distance = np.column_stack([distance, np.full(n, np.inf)])
    nearest = distance.argmin(axis=1)
    closest = distance[np.arange(n), nearest]
    mine = np.minimum(nearest, max(len(spots) - 1, 0))
    photons = spots["photons"][mine] if len(spots) else np.zeros(n)
    is_spot = (closest < _NEAR_PX) & (photons >= _FEWEST_PHOTONS)
    # Only the nearest of several candidates is the spot's.
    for spot in np.unique(nearest[is_spot]):
        rows = np.flatnonzero(is_spot & (nearest == spot))
        is_spot[rows[closest[rows] > closest[rows].min()]] = False
    expected = expected_false(peaks)
    lonely = np.asarray(closest > _FAR_PX) & ~_near_impostors(found)
    label = np.full(n, -1, np.int64)
    label[is_spot] = PatchClass.SPOT
    if kind in _CLASS_OF and not pattern.is_hit:
        label[lonely & (expected < _NOT_CHANCE)] = _CLASS_OF[kind]
    if kind == "clean":
        label[lonely] = PatchClass.NOISE
    kept = label >= 0
    # A patch's middle is the pixel that holds the candidate's position.
    middle_fs, middle_ss = np.floor(peaks["fs"]) + 0.5, np.floor(peaks["ss"]) + 0.5
    offset = np.full((n, 2), np.nan)
    if len(spots):
        offset[is_spot, 0] = (spots["fs"][mine] - middle_fs)[is_spot]
        offset[is_spot, 1] = (spots["ss"][mine] - middle_ss)[is_spot]
    return PatchSet(
        counts=found.patches.counts[kept],
        background=found.patches.background[kept],
        mask=found.patches.mask[kept],
        label=label[kept],
        offset=offset[kept].astype(np.float32),
        photons=np.where(is_spot, photons, np.nan)[kept].astype(np.float32),
        level=peaks["background"][kept].astype(np.float32),
    )


def _near_impostors(found: FoundFrame) -> npt.NDArray[np.bool_]:
    """Tell which candidates lie on spots of ice, salt or precipitant."""
    peaks, pattern = found.result.peaks, found.pattern
    if pattern.negatives == Negative(0) or not len(pattern.impostors.index):
        return np.zeros(len(peaks), np.bool_)
    width = found.pattern_width
    ss, fs = np.divmod(pattern.impostors.index[pattern.impostors.value > 0.02], width)
    apart = np.maximum(
        np.abs(peaks["fs"][:, None] - fs - 0.5), np.abs(peaks["ss"][:, None] - ss - 0.5)
    )
    return np.asarray((apart < _FAR_PX).any(axis=1))


def keep_hard(patches: PatchSet, model: nn.Module) -> PatchSet:
    """Return the spots among candidates, and the nuisances that a model takes for some."""
    fooled = [np.zeros(0, np.bool_)]
    with torch.inference_mode():
        for start in range(0, len(patches.label), 1024):
            part = patches.take(slice(start, start + 1024))
            batch = {name: torch.from_numpy(array) for name, array in part._asdict().items()}
            verdict = judge_patches(model, batch)
            odds = -torch.logaddexp(-verdict.logit, verdict.artefact)
            fooled.append(odds.numpy() > _FOOLED)
    return patches.take(np.concatenate(fooled) | (patches.label == PatchClass.SPOT))
