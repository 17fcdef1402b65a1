"""Peaks found in a tenth of the photons of real frames, looked up in the other nine tenths.

Photons are split binomially, so that the two parts are independent counts of the same scene. A
peak found in the small part is confirmed if the box that holds its pixels, 3x3 to 7x7, exceeds the
background in the large part, with a probability below ``--confirm`` by chance. No label is needed:
false peaks are confirmed no more often than that, so that the peaks that are not confirmed should
be no more than the false peaks asked for. With --models a second line judges the same parts by a
peak model too. For comparison, peaks found on frames of independent
photons with the same smooth background, where all are false. Every run draws a fresh seed and
prints it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  (the frames are packed)
import numpy as np
import numpy.typing as npt
import torch
from measures import start
from photon_frames import FloatArray
from scipy.ndimage import binary_dilation, uniform_filter
from scipy.stats import poisson

from cxlsfind.finding.planes import PlaneMaker, bad_values, mask_words
from cxlsfind.finding.poisson.finder import BlockResult, PoissonFinder
from cxlsfind.finding.poisson.settings import PoissonSettings
from cxlsfind.geometry.layout import build_layout, slab_key
from cxlsfind.geometry.model import BeamKind, Geometry, Panel, Quantity
from cxlsfind.models.cutting import Candidates, FrameArrays, cut_patches
from cxlsfind.models.hit_inputs import Evidence
from cxlsfind.models.judge import FrameJudge
from cxlsfind.models.peak_runner import PeakRunner
from cxlsfind.models.runtime import Models
from cxlsfind.models.searched import SearchedFrame
from cxlsfind.records import PeakArray

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "real"
DATASET = "/entry/data/data"

#: Pixel size, metres, and beam centre (fs, ss): the point about which the frame is symmetric.
FRAMES = {
    "pilatus6m_i03.h5": (172e-6, 1212.0, 1180.0),
    "thermolysin_eiger16m.h5": (75e-6, 2232.0, 2280.0),
}
#: Counts beyond this are marks of the detector, or firing pixels.
_LARGEST = 60000

#: Half the sides of the ring of pixels that tell the background around a peak, px.
_HOLE_HALF, _RING_HALF = 4, 10


#: Cells of the smooth background, and what makes a 7x7 box too bright for it.
_CELL_PX, _SECTORS, _BRIGHT = 60, 12, 6.0


def whole_panel(shape: tuple[int, int], pixel_m: float, centre: tuple[float, float]) -> Geometry:
    """Return a geometry of one panel with the beam at a place (fs, ss)."""
    height, width = shape
    panel = Panel(
        name="p0",
        min_fs=0,
        max_fs=width - 1,
        min_ss=0,
        max_ss=height - 1,
        corner_x=-centre[0],
        corner_y=-centre[1],
        fs=(1.0, 0.0, 0.0),
        ss=(0.0, 1.0, 0.0),
        res=1.0 / pixel_m,
        adu_per_photon=1.0,
        adu_per_ev=None,
    )
    return Geometry(
        file="real.geom",
        text="",
        panels=(panel,),
        beam_kind=BeamKind.PHOTON_ENERGY,
        beam=Quantity(12700.0),
        clen=Quantity(0.3),
        bandwidth=1e-8,
    )


def confirmed(
    counts: npt.NDArray[np.int64],
    usable: npt.NDArray[np.bool_],
    fs: FloatArray,
    ss: FloatArray,
    n_pixels: npt.NDArray[np.integer],
    level: float,
) -> npt.NDArray[np.bool_]:
    """Tell which places hold significantly more photons in their boxes than there are around."""
    half = np.clip(np.ceil((np.sqrt(n_pixels) - 1.0) / 2.0), 1, 3).astype(int)
    edge = _RING_HALF
    padded = [np.pad(image, edge) for image in (counts * usable, usable)]
    steps = np.arange(-edge, edge + 1)
    row, column = ss.astype(int) + edge, fs.astype(int) + edge
    windows = [
        image[row[:, None, None] + steps[:, None], column[:, None, None] + steps]
        for image in padded
    ]
    away = np.maximum(np.abs(steps[:, None]), np.abs(steps))
    in_box = away <= half[:, None, None]
    seen = [(window * in_box).sum(axis=(1, 2)) for window in windows]
    around = [(window * (away > _HOLE_HALF)).sum(axis=(1, 2)) for window in windows]
    background = (around[0] + 0.5) / np.maximum(around[1], 1.0)
    sure: npt.NDArray[np.bool_] = poisson.sf(seen[0] - 1, background * seen[1]) < level
    return sure


def smooth_background(
    counts: npt.NDArray[np.int64],
    usable: npt.NDArray[np.bool_],
    radius: FloatArray,
    angle: FloatArray,
) -> FloatArray:
    """Return the mean of usable pixels in cells of radius and direction, without bright spots."""
    dim = usable & (_sums(counts * usable, 3) < _BRIGHT * 49 * counts[usable].mean() + 10)
    cell = (radius // _CELL_PX).astype(int) * _SECTORS
    cell += ((angle / (2 * np.pi) + 0.5) * _SECTORS).astype(int) % _SECTORS
    number = np.bincount(cell[dim], minlength=cell.max() + 1)
    mean = np.bincount(cell[dim], counts[dim], cell.max() + 1) / np.maximum(number, 1)
    smooth: FloatArray = mean[cell] * usable
    return smooth


def _sums(image: npt.NDArray[np.generic], half: int) -> FloatArray:
    side = 2 * half + 1
    sums: FloatArray = np.rint(
        uniform_filter(image.astype(np.float64), side, mode="constant") * side**2
    )
    return sums


class Tally:
    """What was found in the parts of a frame, and what of it is confirmed."""

    def __init__(self) -> None:
        self.found: list[int] = []
        self.sure = 0
        self.replica = 0

    def add(
        self,
        peaks: PeakArray,
        rest: npt.NDArray[np.int64],
        usable: npt.NDArray[np.bool_],
        level: float,
    ) -> None:
        """Count the peaks of a part."""
        where = peaks["fs"], peaks["ss"], peaks["n_pixels"]
        self.found.append(len(peaks))
        self.sure += int(confirmed(rest, usable, *where, level).sum())


class Judge:
    """A peak model behind the finder, as in the main job."""

    def __init__(self, path: Path, arrays: FrameArrays, wanted: float) -> None:
        models = Models(PeakRunner(path, None, torch.device("cpu")), None)
        self._judge = FrameJudge(models, wanted)
        self._arrays = arrays

    def peaks(self, counts: npt.NDArray[np.int64], found: BlockResult) -> PeakArray:
        """Return the peaks of a frame that are reported."""
        result = found.frames[0]
        patches = cut_patches(
            [Candidates(result.peaks, result.background, result.ring_centre_px)],
            self._arrays._replace(usable=found.usable),
            lambda number, pixels: counts.ravel()[pixels],
        )
        frame = SearchedFrame(
            peaks=result.peaks,
            n_peaks=result.n_peaks,
            evidence=Evidence(result.hit_log_bayes_factor, result.hit_p_value),
            mean_background=float(result.background.mean()),
            position_px=np.zeros((len(result.peaks), 2)),
            patches=patches[0],
        )
        judged = self._judge.judge([frame], float(np.count_nonzero(found.usable)))[0]
        return judged.peaks[: judged.n_peaks]


def measure(
    name: str, asked: list[float], options: argparse.Namespace, generator: np.random.Generator
) -> None:
    """Print the lines of one frame."""
    with h5py.File(REAL / name) as file:
        raw = file[DATASET][0]
    height, width = raw.shape
    pixel_m, *centre = FRAMES[name]
    if options.middle:
        centre = [width / 2, height / 2]
    geometry = whole_panel(raw.shape, pixel_m, (centre[0], centre[1]))
    layout = build_layout(geometry, {slab_key(geometry.panels[0]): raw.shape})
    usable = (raw >= 0) & (raw < _LARGEST)
    counts = np.where(usable, raw, 0).astype(np.int64)
    ss, fs = np.mgrid[0:height, 0:width] + 0.5
    maker = PlaneMaker(raw.size, bad_values(geometry, layout))
    words = mask_words(usable.ravel())
    x, y = fs - centre[0], ss - centre[1]
    smooth = smooth_background(counts, usable, np.hypot(x, y), np.arctan2(y, x))
    control = ~binary_dilation(~usable, iterations=6)
    photons = counts[usable].mean() * options.part
    for wanted in asked:
        finder = PoissonFinder(
            PoissonSettings(false_peaks=wanted), geometry, layout, usable.ravel()
        )
        tallies = {"": Tally()}
        if options.models is not None:
            judge = Judge(options.models, FrameArrays(geometry, layout, usable.ravel()), wanted)
            tallies["with the model"] = Tally()
        hits, random, expected = 0, [], 0.0
        for _ in range(options.splits):
            part = generator.binomial(counts, options.part)
            rest = counts - part
            image = part.astype(np.uint16).ravel()
            found = finder.find_block([maker.from_array(image, words)])
            result = found.frames[0]
            hits += result.is_hit
            expected += result.expected_false
            tallies[""].add(result.peaks[: result.n_peaks], rest, usable, options.confirm)
            if options.models is not None:
                peaks = judge.peaks(part, found)
                tallies["with the model"].add(peaks, rest, usable, options.confirm)
            pick = generator.choice(np.flatnonzero(control), 200)
            alone = generator.poisson(options.part * smooth)
            found = finder.find_block([maker.from_array(alone.astype(np.uint16).ravel(), words)])
            tallies[""].replica += found.frames[0].n_peaks
            if options.models is not None:
                tallies["with the model"].replica += len(judge.peaks(alone, found))
            places = pick % width + 0.5, pick // width + 0.5
            sharp = np.full(len(pick), 9)
            random.append(confirmed(rest, usable, *places, sharp, options.confirm).mean())
        for label, tally in tallies.items():
            total = sum(tally.found)
            not_sure = total - tally.sure
            print(
                f"{label or name:26s} {wanted:5g} {expected / options.splits:6.2f} "
                f"{options.splits:6d} {photons:8.2g} "
                f"{total / options.splits:7.1f} {not_sure / options.splits:12.2f} "
                f"{(not_sure + 1) ** 0.5 / options.splits:5.2f} {tally.sure / max(total, 1):10.4f} "
                f"{max(0.0, 1 - wanted * options.splits / max(total, 1)):9.4f} "
                f"{np.mean(random):10.4f} {tally.replica / options.splits:9.2f} {hits:5d}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--asked", type=float, nargs="+", default=[1.0, 10.0])
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--part", type=float, default=0.1, help="of the photons to be searched")
    parser.add_argument(
        "--middle", action="store_true", help="a geometry that takes the middle for the centre"
    )
    parser.add_argument("--models", type=Path, help="file of a peak model, to judge by too")
    parser.add_argument("--confirm", type=float, default=1e-3, help="probability by chance")
    options, generator = start(parser)
    print(
        "                                                  photons   peaks  not confirmed        "
        "share of peaks confirmed   at random\n"
        "frame                      asked attain. splits   per px per split    per split    +- "
        "  measured at least      places  replica  hits"
    )
    for name in FRAMES:
        if not (REAL / name).exists():
            print(f"{name}: not here, skipped")
            continue
        measure(name, options.asked, options, generator)


if __name__ == "__main__":
    main()
