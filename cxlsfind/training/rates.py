"""How often background alone reaches a likelihood ratio: candidates of any background compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
    score
        The log likelihood ratio that background alone reaches at these rates, (nodes, rates);
        ascending along rates.
    """

    log_background: FloatArray
    log_rate: FloatArray
    score: FloatArray

    def at(self, score: npt.ArrayLike, background: npt.ArrayLike) -> FloatArray:
        """Return the log rate per pixel at which background alone reaches these scores.

        Parameters
        ----------
        background
            Photons per pixel under each, of the same shape.
        """
        place = np.interp(
            np.log(background), self.log_background, np.arange(len(self.log_background))
        )
        lower = np.minimum(place.astype(np.int64), max(len(self.log_background) - 2, 0))
        upper = np.minimum(lower + 1, len(self.log_background) - 1)
        part = (place - lower)[..., None]
        needed = (1.0 - part) * self.score[lower] + part * self.score[upper]
        return _interpolate(np.asarray(score, np.float64), needed, self.log_rate)


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
