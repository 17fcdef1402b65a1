"""What keeps a model's words honest: rates of false peaks, and the odds from which artefacts go.

A network's score is good for ranking; what a user asks for is a number of false peaks. A table
holds, for backgrounds from the darkest to the brightest, the scores that background alone reaches
at given rates per pixel: once for the model's log odds, once for the likelihood ratio without it.
Artefacts have a limit of their own, set by the spots that may be given away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cxlsfind.models.card import ModelRefusedError

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RateTable:
    """Scores by background and rate.

    Parameters
    ----------
    log_background
        Natural logarithm of photons per pixel, ascending; (nodes,).
    log_rate
        Natural logarithm of false candidates per pixel, descending; (rates,).
    logit
        The model's log odds that background alone reaches at these rates, (nodes, rates);
        ascending along rates.
    ratio
        The same for the likelihood ratio alone.
    """

    log_background: FloatArray
    log_rate: FloatArray
    logit: FloatArray
    ratio: FloatArray

    def log_rate_of_logit(self, logit: npt.ArrayLike, background: npt.ArrayLike) -> FloatArray:
        """Return the log rate per pixel at which background alone reaches these log odds.

        Parameters
        ----------
        background
            Photons per pixel under each, of the same shape.
        """
        return self._look_up(self.logit, logit, background)

    def log_rate_of_ratio(self, ratio: npt.ArrayLike, background: npt.ArrayLike) -> FloatArray:
        """Return the same for log likelihood ratios."""
        return self._look_up(self.ratio, ratio, background)

    def to_card(self) -> dict[str, Any]:
        """Return the table as the card holds it."""
        return {
            "log_background": self.log_background.round(6).tolist(),
            "log_rate": self.log_rate.round(6).tolist(),
            "logit": self.logit.round(4).tolist(),
            "ratio": self.ratio.round(4).tolist(),
        }

    @classmethod
    def from_card(cls, content: dict[str, Any], *, file: str) -> RateTable:
        """Read the table from a card.

        Raises
        ------
        ModelRefusedError
            The card holds none.
        """
        names = ("log_background", "log_rate", "logit", "ratio")
        try:
            arrays = [np.array(content[name], np.float64) for name in names]
            table = cls(*arrays)
            shape = (len(table.log_background), len(table.log_rate))
            is_table = table.logit.shape == shape and table.ratio.shape == shape
        except (KeyError, TypeError, ValueError):
            is_table = False
        if not is_table:
            raise ModelRefusedError(f"{file}: its card has no table of rates; export it again")
        return table

    def _look_up(
        self, scores: FloatArray, values: npt.ArrayLike, background: npt.ArrayLike
    ) -> FloatArray:
        place = np.interp(
            np.log(background), self.log_background, np.arange(len(self.log_background))
        )
        lower = np.minimum(place.astype(np.int64), max(len(self.log_background) - 2, 0))
        upper = np.minimum(lower + 1, len(self.log_background) - 1)
        part = (place - lower)[..., None]
        needed = (1.0 - part) * scores[lower] + part * scores[upper]
        return _interpolate(np.asarray(values, np.float64), needed, self.log_rate)


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What turns a peak model's numbers into decisions.

    Parameters
    ----------
    rates
        How often background alone does as well.
    artefact_odds
        Log odds of an artefact against a spot above which a candidate is no peak.
    """

    rates: RateTable
    artefact_odds: float

    def to_card(self) -> dict[str, Any]:
        """Return it as the card holds it."""
        return {**self.rates.to_card(), "artefact_odds": round(self.artefact_odds, 4)}

    @classmethod
    def from_card(cls, content: dict[str, Any], *, file: str) -> Calibration:
        """Read it from a card.

        Raises
        ------
        ModelRefusedError
            The card lacks a part of it.
        """
        try:
            limit = float(content["artefact_odds"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelRefusedError(
                f"{file}: its card does not say which candidates are artefacts; export it again"
            ) from error
        return cls(RateTable.from_card(content, file=file), limit)


def _interpolate(values: FloatArray, needed: FloatArray, log_rate: FloatArray) -> FloatArray:
    """Return log rates of values among the scores needed, row by row.

    Beyond the table a score that is higher by x is rarer by e^x, and below it as much commoner.
    """
    column = np.clip((needed <= values[..., None]).sum(axis=-1) - 1, 0, len(log_rate) - 2)
    rows = tuple(np.indices(column.shape))
    low = needed[(*rows, column)]
    high = needed[(*rows, column + 1)]
    # Where one score serves several rates, whoever has it has the lowest of them.
    part = np.where(high > low, (values - low) / np.maximum(high - low, 1e-9), values >= high)
    part = np.clip(part, 0.0, 1.0)
    inside = (1.0 - part) * log_rate[column] + part * log_rate[column + 1]
    beyond = np.maximum(values - needed[..., -1], 0.0)
    below = np.maximum(needed[..., 0] - values, 0.0)
    result: FloatArray = inside - beyond + below
    return result
