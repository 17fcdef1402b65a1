"""Photons of single frames on chosen rings, by the words that hold pixels of theirs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels.bits import count_ones
from cxlsfind.kernels.plane_canvas import Words, count_at


@kernel
def list_ring_words(
    ring: npt.NDArray[np.int32],
    usable: npt.NDArray[np.bool_],
    group_of_ring: npt.NDArray[np.int64],
    word: npt.NDArray[np.int32],
    group: npt.NDArray[np.int32],
    mask: npt.NDArray[np.uint64],
) -> int:
    """List the words with usable pixels of each group of rings.

    Parameters
    ----------
    group_of_ring
        Group of every ring, -1 for none.
    word, group, mask
        Results: word, group, and the bits of the pixels.

    Returns
    -------
    Number of entries, which may exceed the size of the results; the rest is not written.
    """
    n = 0
    n_groups = group_of_ring.max() + 1
    masks = np.zeros(n_groups, np.uint64)
    for number in range(ring.size // 64):
        some = False
        for bit in range(64):
            pixel = 64 * number + bit
            if usable[pixel] and group_of_ring[ring[pixel]] >= 0:
                masks[group_of_ring[ring[pixel]]] |= np.uint64(1) << np.uint64(bit)
                some = True
        if not some:
            continue
        for which in range(n_groups):
            if masks[which]:
                if n < word.size:
                    word[n] = number
                    group[n] = which
                    mask[n] = masks[which]
                n += 1
                masks[which] = 0
    return n


@kernel
def sum_ring_words(
    planes: Words,
    places: npt.NDArray[np.int32],
    counts: npt.NDArray[np.uint32],
    word: npt.NDArray[np.int32],
    group: npt.NDArray[np.int32],
    mask: npt.NDArray[np.uint64],
    ring: npt.NDArray[np.int32],
    group_of_ring: npt.NDArray[np.int64],
    left_out: npt.NDArray[np.int32],
    sums: npt.NDArray[np.int64],
    n_left_out: npt.NDArray[np.int64],
) -> None:
    """Sum the photons of a frame over groups of rings, without some pixels.

    Parameters
    ----------
    planes, places, counts
        A frame on a canvas; what exceeds its planes is not counted.
    word, group, mask
        Of :func:`list_ring_words`.
    left_out
        Usable canvas pixels that do not count.
    sums, n_left_out
        Results by group, added to: photons, and pixels that were left out.
    """
    full = (1 << planes.shape[0]) - 1
    for entry in range(word.size):
        for k in range(planes.shape[0]):
            sums[group[entry]] += count_ones(planes[k, word[entry]] & mask[entry]) << k
    for number in range(left_out.size):
        which = group_of_ring[ring[left_out[number]]]
        if which >= 0:
            sums[which] -= min(count_at(planes, places, counts, left_out[number]), full)
            n_left_out[which] += 1
