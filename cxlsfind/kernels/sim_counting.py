"""From photons to counts, at most one for each X-ray pulse."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel


@kernel
def count_pulses(
    generator: np.random.Generator, counts: npt.NDArray[np.uint32], pulses: int
) -> None:
    """Count at most one photon per pixel and X-ray pulse, in place.

    Each photon comes with any of the pulses; the pulses that brought one or more are counted. Of
    photons with a Poisson distribution of mean mu, those are binomially distributed: ``pulses``
    trials of chance ``1 - exp(-mu / pulses)``.

    Parameters
    ----------
    counts
        Photons, flat.
    """
    for pixel in range(counts.shape[0]):
        photons = counts[pixel]
        if photons < 2:
            continue
        seen = 1
        for _ in range(photons - 1):
            if seen == pulses:
                break
            if generator.random() * pulses >= seen:
                seen += 1
        counts[pixel] = seen
