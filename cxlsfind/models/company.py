"""What a candidate is, given what else is in its frame.

A model tells how likely a candidate looks as a spot and as an artefact, not how common either is.
The candidates of a frame know: among sixty clear spots a line of five photons is a spot, among
tracks it is a track. The share of artefacts is the one that makes the frame's candidates likeliest
(expectation maximisation), with one spot and one artefact counted beside them, so that a candidate
alone is left to its own odds, to a factor of two.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import expit

FloatArray = npt.NDArray[np.float64]

#: Rounds until shares have settled; fixed, so that nothing depends on rounding.
_ROUNDS: Final = 20


def odds_in_company(artefact: FloatArray, frame: npt.NDArray[np.intp]) -> FloatArray:
    """Return the log odds of an artefact against a spot, with the shares of the candidate's frame.

    Parameters
    ----------
    artefact
        The same, were both as common; (n,).
    frame
        Number of each candidate's frame, from 0.
    """
    number = np.bincount(frame)
    odds = artefact
    for _ in range(_ROUNDS):
        bad = np.bincount(frame, expit(odds))
        odds = artefact + (np.log1p(bad) - np.log1p(number - bad))[frame]
    return odds
