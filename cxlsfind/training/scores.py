"""Figures of merit: rates with their intervals, curves, confusion, calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rate:
    """So many of so many, with the Clopper-Pearson interval of 95 %.

    Parameters
    ----------
    count, number
        How many, of how many.
    low, high
        Ends of the interval.
    """

    count: int
    number: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share; NaN of nothing."""
        return self.count / self.number if self.number else float("nan")

    def __str__(self) -> str:
        """Return share, interval and counts."""
        if not self.number:
            return "-"
        return f"{self.value:.4g} [{self.low:.3g}, {self.high:.3g}] ({self.count}/{self.number})"


def rate(is_true: npt.NDArray[np.bool_]) -> Rate:
    """Return the share of true ones, with its interval."""
    number, count = len(is_true), int(np.count_nonzero(is_true))
    low = float(betaincinv(count, number - count + 1, 0.025)) if count else 0.0
    high = float(betaincinv(count + 1, number - count, 0.975)) if count < number else 1.0
    return Rate(count, number, low, high)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A curve for a figure: a name, and its points."""

    name: str
    x: FloatArray
    y: FloatArray


def roc_curve(name: str, positive: FloatArray, negative: FloatArray) -> Curve:
    """Return true against false positives as the threshold on a score falls."""
    thresholds = np.unique(np.concatenate([positive, negative]))[::-1]
    false = np.searchsorted(np.sort(-negative), -thresholds, side="right") / max(len(negative), 1)
    true = np.searchsorted(np.sort(-positive), -thresholds, side="right") / max(len(positive), 1)
    return Curve(name, np.concatenate([[0.0], false]), np.concatenate([[0.0], true]))


def area_under(curve: Curve) -> float:
    """Return the area under a ROC curve: how often a positive scores above a negative."""
    return float(np.trapezoid(curve.y, curve.x))


def true_at_false(positive: FloatArray, negative: FloatArray, share: float) -> float:
    """Return true positives where no more than a share of the negatives passes."""
    ordered = np.sort(negative)[::-1]
    allowed = int(share * len(ordered))
    limit = ordered[allowed] if allowed < len(ordered) else -np.inf
    return float((positive > limit).mean()) if len(positive) else float("nan")


def confusion_matrix(
    truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], n_classes: int
) -> npt.NDArray[np.int64]:
    """Return counts by true class (rows) and predicted class (columns)."""
    flat = np.bincount(truth * n_classes + predicted, minlength=n_classes * n_classes)
    matrix: npt.NDArray[np.int64] = flat.reshape(n_classes, n_classes).astype(np.int64)
    return matrix


def reliability(name: str, probability: FloatArray, is_true: npt.NDArray[np.bool_]) -> Curve:
    """Return how often what is said with a probability is so, in ten bins of equal numbers."""
    order = np.argsort(probability, kind="stable")
    bins = [part for part in np.array_split(order, 10) if len(part)]
    said = np.array([probability[part].mean() for part in bins])
    was = np.array([is_true[part].mean() for part in bins])
    return Curve(name, said, was)


def calibration_error(curve: Curve) -> float:
    """Return the mean distance of a reliability curve from the diagonal."""
    return float(np.abs(curve.x - curve.y).mean())


def crossing(x: FloatArray, y: FloatArray, level: float) -> float:
    """Return where a rising curve crosses a level, linear in the logarithm of x; NaN if nowhere.

    Parameters
    ----------
    x
        Ascending, above zero.
    y
        Values; made to rise by their running maximum.
    """
    rising = np.maximum.accumulate(y)
    if rising[0] > level or rising[-1] < level:
        return float("nan")
    above = int(np.argmax(rising >= level))
    if above == 0:
        return float(x[0])
    share = (level - rising[above - 1]) / (rising[above] - rising[above - 1])
    logs = np.log(x[above - 1 : above + 1])
    return float(np.exp(logs[0] + share * (logs[1] - logs[0])))
