"""The peak model, ready to judge candidates.

Patches of a block are judged together, in batches of one size but for the last: the numbers that
come out do not depend on ranks, nor, on one kind of device, on how many candidates there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from cxlsfind.models.card import DataDescription
from cxlsfind.models.company import Company, block_company, odds_in_company
from cxlsfind.models.loading import artefact_odds_of, load_checked, padded_batches
from cxlsfind.models.peak import PEAK_WINDOW
from cxlsfind.models.torchscript import run_model
from cxlsfind.records import PEAK_CLASSES

FloatArray = npt.NDArray[np.float64]

#: Rows of a frame whose heat map is drawn at a time.
_BAND_ROWS = 128

#: Numbers that the model gives of a patch.
N_COLUMNS: Final = 8 + len(PEAK_CLASSES)


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """What the peak model says of candidates; arrays of equal length.

    Parameters
    ----------
    logit
        Log odds of a spot against noise; NaN where the background is outside the range that the
        model knows.
    artefact
        Log odds of an artefact against a spot, given the other candidates of frame and block.
    is_artefact
        Whether those are beyond what spots are given away for.
    score
        Log likelihood ratio, which the model does not change.
    fs, ss
        Position, px from the middle of the patch's middle pixel.
    sigma_fs, sigma_ss
        Its error, px.
    photons
        Photons of the spot.
    kind
        Likeliest class, an index into :data:`~cxlsfind.records.PEAK_CLASSES`; int64.
    spot_probability
        Probability of a spot rather than an artefact, given that it is not chance.
    """

    logit: FloatArray
    artefact: FloatArray
    is_artefact: npt.NDArray[np.bool_]
    score: FloatArray
    fs: FloatArray
    ss: FloatArray
    sigma_fs: FloatArray
    sigma_ss: FloatArray
    photons: FloatArray
    kind: npt.NDArray[np.int64]
    spot_probability: FloatArray

    @property
    def odds(self) -> FloatArray:
        """Log odds of a spot against noise and artefacts together, were all as common."""
        # Beyond the range that the model knows there are none, and numpy would complain of that.
        with np.errstate(invalid="ignore"):
            return np.asarray(-np.logaddexp(-self.logit, self.artefact))

    def take(self, rows: slice | npt.NDArray[np.bool_]) -> Verdicts:
        """Return the verdicts on some of the candidates."""
        return Verdicts(*(getattr(self, item.name)[rows] for item in fields(self)))


class PeakRunner:
    """The peak model, ready to judge; one per rank.

    Parameters
    ----------
    path
        File of the model.
    data
        What it shall be used on; ``None`` where that was checked, or is not known.

    Raises
    ------
    ModelRefusedError
        The file is no model, is no peak model, does not reproduce what its card says, or does not
        fit the data; the reason is said.
    """

    def __init__(self, path: Path, data: DataDescription | None, device: torch.device) -> None:
        self.device = device
        self._model, self.card = load_checked(path, "peak", data, device)
        self._artefact_odds = artefact_odds_of(self.card, file=str(path))

    def judge(
        self,
        counts: npt.NDArray[np.uint16],
        background: npt.NDArray[np.float32],
        mask: npt.NDArray[np.uint8],
        number: npt.NDArray[np.intp],
    ) -> Verdicts:
        """Judge candidates, those of a whole block at once, one frame after the other.

        Parameters
        ----------
        counts
            Photons around each candidate, (n, 11, 11); 0 at unusable pixels.
        background
            Expected background photons per pixel, (n, 11, 11), above zero.
        mask
            1 at usable pixels, 0 elsewhere, (n, 11, 11).
        number
            How many each frame of the block has, also of those that have none; (frames,).
        """
        parts = [self._judge_batch(*batch) for batch in padded_batches(counts, background, mask)]
        columns = np.concatenate(parts) if parts else np.empty((0, N_COLUMNS))
        level = background[:, PEAK_WINDOW // 2, PEAK_WINDOW // 2].astype(np.float64)
        company = block_company(number)
        return verdicts_of(
            columns[: len(counts)], level, company, self._artefact_odds, self.card.background
        )

    def draw_heat_map(
        self,
        counts: npt.NDArray[np.integer[Any]],
        background: npt.NDArray[np.float32],
        mask: npt.NDArray[np.uint8],
    ) -> npt.NDArray[np.float32]:
        """Return the log odds of a spot at every pixel of a frame; meant for a GPU.

        Parameters
        ----------
        counts, background, mask
            Whole frames, [ss, fs], as in :meth:`judge`.
        """
        edge = PEAK_WINDOW // 2
        size = counts.shape
        heat = np.empty(size, np.float32)
        padded = (
            np.pad(counts, edge),
            np.pad(background, edge, mode="edge"),
            np.pad(mask, edge),
        )
        for start in range(0, size[0], _BAND_ROWS):
            rows = slice(start, min(start + _BAND_ROWS, size[0]) + 2 * edge)
            band = [
                torch.from_numpy(np.ascontiguousarray(image[rows]))[None].to(self.device)
                for image in padded
            ]
            logit, artefact, *_ = run_model(self._model, *band)
            odds = -torch.logaddexp(-logit, artefact)
            heat[start : start + _BAND_ROWS] = odds[0].cpu().numpy()
        return heat

    def _judge_batch(
        self,
        counts: npt.NDArray[np.uint16],
        background: npt.NDArray[np.float32],
        mask: npt.NDArray[np.uint8],
    ) -> FloatArray:
        images = (torch.from_numpy(image).to(self.device) for image in (counts, background, mask))
        columns = columns_of(run_model(self._model, *images))
        judged: FloatArray = columns.cpu().double().numpy()
        return judged


def columns_of(verdict: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return what the model says of patches as one row each, for :func:`verdicts_of`."""
    logit, artefact, score, _, *rest = verdict
    return torch.cat([part.flatten(1) for part in (logit, artefact, score, *rest)], dim=1)


def verdicts_of(
    columns: FloatArray,
    level: FloatArray,
    company: Company,
    artefact_odds: float,
    known: tuple[float, float],
) -> Verdicts:
    """Return the verdicts on candidates from the rows that the model gave.

    Parameters
    ----------
    level
        Background under each, photons per pixel.
    company
        Frame and block of each.
    artefact_odds
        Log odds from which a candidate is an artefact.
    known
        Range of backgrounds that the model knows.
    """
    low, high = known
    is_known = (level >= low) & (level <= high)
    logit, score, classes = columns[:, 0], columns[:, 2], columns[:, 8:]
    # Of unknown backgrounds nothing is known, and nothing to be learnt.
    artefact = np.full(len(columns), -np.inf)
    artefact[is_known] = odds_in_company(classes[is_known], company.take(is_known))
    return Verdicts(
        logit=np.where(is_known, logit, np.nan),
        artefact=artefact,
        is_artefact=artefact > artefact_odds,
        score=score,
        fs=columns[:, 3],
        ss=columns[:, 4],
        sigma_fs=np.exp(columns[:, 5]),
        sigma_ss=np.exp(columns[:, 6]),
        photons=columns[:, 7],
        kind=classes.argmax(axis=1),
        spot_probability=1.0 / (1.0 + np.exp(np.clip(artefact, -700.0, 700.0))),
    )
