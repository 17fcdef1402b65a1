"""The hit model, ready to judge frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from cxlsfind.models.card import DataDescription
from cxlsfind.models.hit import FRAME_COLUMNS, MOST_CANDIDATES
from cxlsfind.models.hit_inputs import HitInputs
from cxlsfind.models.loading import artefact_odds_of, load_checked, padded_batches
from cxlsfind.models.torchscript import run_model
from cxlsfind.records import FRAME_FLAGS

FloatArray = npt.NDArray[np.float64]


#: Most candidates of a frame, and frames that are judged at a time. The cost goes with the square
#: of the candidates, and most frames, blank ones, have few.
_BATCHES: Final = ((24, 16), (MOST_CANDIDATES, 8))

#: How far the mean background of a frame may be beyond the range that experiments were drawn from:
#: frames of one experiment differ, and their mean is one over radii.
_SLACK: Final = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class HitVerdicts:
    """What the hit model says of frames; arrays of equal length.

    Of frames whose background is outside the range that the model knows it says nothing: NaN.

    Parameters
    ----------
    log_odds
        Log odds of a crystal against an empty frame and artefacts together, were hits as common
        as each.
    artefact
        Log odds of "artefacts alone" against a crystal.
    is_artefact
        Whether those are beyond what the model was allowed to call a hit.
    flags
        Probability of each of :data:`~cxlsfind.records.FRAME_FLAGS`, crystal or not, (n, 4).
    """

    log_odds: FloatArray
    artefact: FloatArray
    is_artefact: npt.NDArray[np.bool_]
    flags: FloatArray


class HitRunner:
    """The hit model; one per rank.

    Parameters
    ----------
    path
        File of the model.
    data
        What it shall be used on; ``None`` where that was checked, or is not known.

    Raises
    ------
    ModelRefusedError
        The file is no hit model, or does not fit the data; the reason is said.
    """

    def __init__(self, path: Path, data: DataDescription | None, device: torch.device) -> None:
        self.device = device
        self._model, self.card = load_checked(path, "hit", data, device)
        self._most_odds = artefact_odds_of(self.card, file=str(path))

    @property
    def needs_peak_model(self) -> bool:
        """Whether it was trained behind a peak model, and wants to hear what that says."""
        return bool(self.card.training.get("peak"))

    def judge(self, inputs: HitInputs) -> HitVerdicts:
        """Judge frames, those of a whole block at once.

        Parameters
        ----------
        inputs
            Candidates (n, 64, 9) and figures (n, 4) of the frames.
        """
        judged = np.empty((len(inputs.frame), 2 + len(FRAME_FLAGS)))
        needed = (inputs.candidates[:, :, -1] > 0.0).sum(axis=1)
        fewest = -1
        for most, size in _BATCHES:
            rows = np.flatnonzero((needed > fewest) & (needed <= most))
            fewest = most
            part = inputs.candidates[rows, :most], inputs.frame[rows]
            for number, batch in enumerate(padded_batches(*part, size=size)):
                here = rows[number * size : (number + 1) * size]
                judged[here] = self._judge_batch(*batch)[: len(here)]
        low, high = self.card.background
        level = inputs.frame[:, FRAME_COLUMNS.index("mean_photons")]
        judged[(level < low / _SLACK) | (level > high * _SLACK)] = np.nan
        return HitVerdicts(
            log_odds=judged[:, 0],
            artefact=judged[:, 1],
            is_artefact=np.asarray(judged[:, 1] > self._most_odds),
            flags=1.0 / (1.0 + np.exp(-np.clip(judged[:, 2:], -500.0, 500.0))),
        )

    def _judge_batch(
        self, candidates: npt.NDArray[np.float32], frames: npt.NDArray[np.float32]
    ) -> FloatArray:
        log_odds, _, artefact, flags = run_model(
            self._model,
            *(torch.from_numpy(array).to(self.device) for array in (candidates, frames)),
        )
        columns = torch.cat([log_odds[:, None], artefact[:, None], flags], dim=1)
        return np.asarray(columns.cpu().double().numpy())
