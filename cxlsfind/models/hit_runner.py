"""The hit model, ready to judge frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from cxlsfind.models.card import DataDescription, ModelRefusedError
from cxlsfind.models.hit_inputs import HitInputs
from cxlsfind.models.loading import load_checked, padded_batches

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class HitVerdicts:
    """What the hit model says of frames; arrays of equal length.

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
        Probability of each of :data:`~cxlsfind.models.hit.FLAGS`, crystal or not, (n, 4).
    """

    log_odds: FloatArray
    artefact: FloatArray
    is_artefact: npt.NDArray[np.bool_]
    flags: FloatArray

    def p_value(self, found: FloatArray) -> FloatArray:
        """Return p-values of frames: the finder's, or 1 where there are artefacts alone."""
        return np.asarray(np.where(self.is_artefact, 1.0, found))

    def probability(self, hit_rate: float) -> FloatArray:
        """Return the probability of a crystal when this share of the frames are hits."""
        prior = np.log(hit_rate) - np.log1p(-hit_rate)
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(self.log_odds + prior, -500.0, 500.0))))


class HitRunner:
    """The hit model; one per rank.

    Parameters
    ----------
    path
        File of the model.
    data
        What it shall be used on.

    Raises
    ------
    ModelRefusedError
        The file is no hit model, or does not fit the data; the reason is said.
    """

    def __init__(self, path: Path, data: DataDescription, device: torch.device) -> None:
        self.device = device
        self._model, self.card = load_checked(path, "hit", data, device)
        try:
            self._most_odds = float(self.card.calibration["artefact_odds"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelRefusedError(
                f"{path}: its card does not say when a frame holds artefacts alone; export it again"
            ) from error

    def judge(self, inputs: HitInputs) -> HitVerdicts:
        """Judge frames, those of a whole block at once.

        Parameters
        ----------
        inputs
            Candidates (n, 64, 9) and figures (n, 4) of the frames.
        """
        columns = [self._judge_batch(*batch) for batch in padded_batches(*inputs)]
        judged = np.concatenate(columns)[: len(inputs.frame)] if columns else np.empty((0, 6))
        return HitVerdicts(
            log_odds=judged[:, 0],
            artefact=judged[:, 1],
            is_artefact=np.asarray(judged[:, 1] > self._most_odds),
            flags=1.0 / (1.0 + np.exp(-np.clip(judged[:, 2:], -500.0, 500.0))),
        )

    def _judge_batch(
        self, candidates: npt.NDArray[np.float32], frames: npt.NDArray[np.float32]
    ) -> FloatArray:
        with torch.inference_mode():
            log_odds, _, artefact, flags = self._model(
                *(torch.from_numpy(array).to(self.device) for array in (candidates, frames))
            )
            columns = torch.cat([log_odds[:, None], artefact[:, None], flags], dim=1)
        return np.asarray(columns.cpu().double().numpy())
