"""Where the spots of a frame are: from what was expected, never from the photons that arrived.

Labels made from photons would call a spot what fluctuated upwards and background what fluctuated
downwards. A pixel is labelled by the photons that the crystal is expected to put into the 3 x 3
pixels around it, compared with what can be found there at all: enough for a spot, too few to
matter, or in between, where the label says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cxlsfind.datasets.truth import FrameTruth

#: Expected photons of a spot that the optimal detector, at ten false peaks per Eiger 4M frame,
#: finds every other time, at ascending background levels (photons per pixel).
_LEVELS: Final = np.array([1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0])
_HALF_FOUND: Final = np.array([1.7, 2.0, 2.6, 2.8, 3.7, 4.9, 6.9, 10.0, 15.7, 24.6, 41.6])

#: A spot has at least this share of those photons in its 3 x 3 pixels, and at least so many.
_SPOT_SHARE: Final = 0.5
_SPOT_PHOTONS: Final = 1.5
#: From this share of what makes a spot, up to a spot, a label says nothing.
_IGNORED_SHARE: Final = 0.2

#: Spots nearer to each other than this are one, px.
_MERGED_PX: Final = 2.0
#: Spots nearer than this to a brighter one are neither spots nor background, px.
_CROWDED_PX: Final = 4.0
#: Of the 3 x 3 pixels of a spot, as many may be unusable.
_MOST_UNUSABLE: Final = 4

#: With fewer expected photons in the whole frame, a frame with a crystal is neither hit nor blank.
HIT_PHOTONS: Final = 2.0

#: What the attribute ``label_source`` says.
FROM_TRUTH: Final = "expected photons"
NO_CRYSTAL: Final = "no crystal"
FROM_IMAGE: Final = "thresholded image, noise included: at least {} photons in the pixel"


@dataclass(frozen=True, slots=True, eq=False)
class LabelImage:
    """The label of a frame.

    Parameters
    ----------
    spots
        1 at the pixel of every spot's centre, [ss, fs]; uint8.
    ignore
        1 where the label says nothing, [ss, fs]; uint8: unusable pixels, spots too faint, too
        close together or cut off, the pixels of a spot around its centre, and spots that are not
        the crystal's.
    """

    spots: npt.NDArray[np.uint8]
    ignore: npt.NDArray[np.uint8]


def spot_photons(background: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the expected photons in 3 x 3 pixels that make a spot, at these backgrounds.

    Parameters
    ----------
    background
        Expected photons per pixel; any shape.
    """
    clipped = np.clip(background.astype(np.float64), _LEVELS[0], None)
    half_found = np.interp(np.log(clipped), np.log(_LEVELS), _HALF_FOUND)
    # Beyond the table noise is Gaussian: what is needed grows with its standard deviation.
    half_found *= np.sqrt(np.maximum(clipped / _LEVELS[-1], 1.0))
    return np.asarray(np.maximum(_SPOT_PHOTONS, _SPOT_SHARE * half_found), np.float64)


def label_expected(truth: FrameTruth, usable: npt.NDArray[np.bool_]) -> LabelImage:
    """Return the label of a frame from the photons that were expected.

    Parameters
    ----------
    usable
        Good pixels, [ss, fs].
    """
    boxes = _Boxes(truth, usable.shape)
    ignore = (~usable).astype(np.uint8)
    ignore[boxes.visible()] = 1
    spots = np.zeros(usable.shape, np.uint8)
    centres, is_crowded = _distinct(truth.spots)
    for (fs, ss), crowded in zip(centres.astype(np.int64).tolist(), is_crowded, strict=True):
        inside = 0 <= ss < usable.shape[0] and 0 <= fs < usable.shape[1]
        if crowded or not inside or not usable[ss, fs] or not boxes.is_spot(ss, fs):
            continue
        around = usable[max(ss - 1, 0) : ss + 2, max(fs - 1, 0) : fs + 2]
        if 9 - np.count_nonzero(around) > _MOST_UNUSABLE:
            continue
        spots[ss, fs] = 1
        ignore[ss, fs] = 0
    return LabelImage(spots, ignore)


def label_thresholded(image: npt.NDArray[Any], threshold: float) -> npt.NDArray[np.uint8]:
    """Return 1 for every pixel that reaches a threshold, as Everett & Kurth (2024) labelled.

    For images without a truth. The image is noisy: a bright spot marks many pixels, and what
    was expected but did not arrive is missing.
    """
    return np.asarray(image >= threshold, np.uint8)


def frame_class(truth: FrameTruth, *, has_crystal: bool) -> str:
    """Return what kind of frame it is.

    Returns
    -------
    ``hit``; ``neither``: a crystal hardly worth a photon; ``blank``: no crystal; or
    ``artefact``: none, but spots of something else.
    """
    if not has_crystal:
        return "artefact" if truth.pixels["impostor"].any() else "blank"
    return "hit" if truth.bragg_photons >= HIT_PHOTONS else "neither"


class _Boxes:
    """Expected photons in 3 x 3 pixels around those that spots reach; all else is never visited.

    The arrays have one more line at every edge, so that all pixels have neighbours.
    """

    def __init__(self, truth: FrameTruth, shape: tuple[int, int]) -> None:
        self._shape = shape
        self._stride = shape[1] + 2
        size = (shape[0] + 2) * self._stride
        pixels = truth.pixels
        ss, fs = np.divmod(pixels["index"].astype(np.int64), shape[1])
        middle = (ss + 1) * self._stride + fs + 1
        steps = [i * self._stride + j for i in (-1, 0, 1) for j in (-1, 0, 1)]
        self._around = np.concatenate([middle + step for step in steps])
        self._bragg, self._false, self._needed = (np.zeros(size, np.float32) for _ in range(3))
        needed = spot_photons(pixels["background"]).astype(np.float32)
        for step in steps:
            self._bragg[middle + step] += pixels["bragg"]
            self._false[middle + step] += pixels["impostor"]
            self._needed[middle + step] = needed
        self._needed[middle] = needed

    def is_spot(self, ss: int, fs: int) -> bool:
        """Return whether enough is expected around a pixel to make a spot."""
        place = (ss + 1) * self._stride + fs + 1
        return bool(self._bragg[place] >= self._needed[place] > 0.0)

    def visible(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the pixels (ss, fs) around which too much is expected to call it background."""
        around = self._around
        most = np.maximum(self._bragg[around], self._false[around])
        ss, fs = np.divmod(around[most >= _IGNORED_SHARE * self._needed[around]], self._stride)
        inside = (ss > 0) & (ss <= self._shape[0]) & (fs > 0) & (fs <= self._shape[1])
        return ss[inside] - 1, fs[inside] - 1


def _distinct(
    spots: npt.NDArray[np.void],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return centres (fs, ss) of spots that are apart, brightest first, and which are crowded.

    Spots closer than two pixels become one, at the centre of their photons.
    """
    order = np.argsort(-spots["photons"], kind="stable")
    photons = spots["photons"][order].astype(np.float64)
    places = np.stack([spots["fs"][order], spots["ss"][order]], axis=1).astype(np.float64)
    is_left = photons > 0
    centres: list[npt.NDArray[np.float64]] = []
    while is_left.any():
        brightest = int(np.argmax(is_left))
        distance = np.hypot(*(places - places[brightest]).T)
        merged = is_left & (distance < _MERGED_PX)
        is_left &= ~merged
        centres.append(np.average(places[merged], axis=0, weights=photons[merged]))
    result = np.array(centres, np.float64).reshape(-1, 2)
    gaps = np.hypot(*(result[:, None, :] - result[None, :, :]).transpose(2, 0, 1))
    # Of each pair the fainter, which stands behind the brighter, is crowded.
    is_crowded = np.any(np.tril(gaps < _CROWDED_PX, k=-1), axis=1)
    return result, is_crowded
