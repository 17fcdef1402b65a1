"""Peaks found in a tenth of the photons of real frames, looked up in the other nine tenths.

Photons are split binomially, so that the two parts are independent counts of the same scene. A
peak found in the small part is confirmed if the box that holds its pixels, 3x3 to 7x7, exceeds the
background in the large part, with a probability below ``--confirm`` by chance. No label is needed:
false peaks are confirmed no more often than that.

The peaks that are not confirmed are the false ones and the real ones with too few photons left,
so that they say no more than how many are false at most. Photons beyond chance are asked for less
strictly (``--judge``) to estimate how many are false: every peak without counts as one over the
probability that a false one has none, which makes up for the false ones that have some by chance.

For comparison, two replicas whose photons are independent and whose background is the smooth one
of the frame: one with nothing else, where all peaks are false and the estimate should give their
number; and one with weak spots (``--spots``), where a peak is false if its box holds no photon of
them. With ``--models`` a second line judges the same parts by a peak model too, and a third says
where confirmed peaks were taken away: the edge of a shadow and a hot pixel are as bright in the
large part as in the small one, and are confirmed like spots. Every run draws a fresh seed and
prints it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
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
Image = npt.NDArray[np.int64]

#: Pixel size, metres, and beam centre (fs, ss): the point about which the frame is symmetric.
FRAMES = {
    "pilatus6m_i03.h5": (172e-6, 1212.0, 1180.0),
    "thermolysin_eiger16m.h5": (75e-6, 2232.0, 2280.0),
}
#: Counts beyond this are marks of the detector, or firing pixels.
_LARGEST = 60000

#: Half the sides of the ring of pixels that tell the background around a peak, px.
_HOLE_HALF, _RING_HALF = 4, 10

#: Peaks of several splits this near to each other are at the same place, px.
_SAME_PX = 6.0

#: Half the side of the window in which a photon of a weak spot makes a peak true, and the spots'
#: standard deviation, px; and by how many powers of ten resolution makes them weaker.
_TRUE_HALF, _SPOT_PX, _DECADES = 3, 0.6, 3.0

#: Cells of the smooth background, and what makes a 7x7 box too bright for it.
_CELL_PX, _SECTORS, _BRIGHT = 60, 12, 6.0


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Photons to be searched, those in which peaks are looked up, and those of spots if known."""

    part: Image
    rest: Image
    spots: Image | None


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


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Photons in boxes, and what their surroundings let expect there."""

    seen: FloatArray
    expected: FloatArray

    def confirmed(self, level: float) -> npt.NDArray[np.bool_]:
        """Tell which hold more than the surroundings, with less than a probability by chance."""
        sure: npt.NDArray[np.bool_] = poisson.sf(self.seen - 1, self.expected) < level
        return sure

    def n_false(self, level: float) -> float:
        """Return how many of the boxes hold nothing but background, as far as counts tell.

        On average no less than there are: the others can only add to it.
        """
        # The most photons that do not confirm a box.
        most = poisson.isf(level, self.expected)
        return float((~self.confirmed(level) / poisson.cdf(most, self.expected)).sum())


def look_up(
    counts: Image,
    usable: npt.NDArray[np.bool_],
    fs: FloatArray,
    ss: FloatArray,
    n_pixels: npt.NDArray[np.integer],
) -> Boxes:
    """Count the photons in the boxes of places, and around them."""
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
    return Boxes(seen[0], background * seen[1])


def smooth_background(
    counts: Image,
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


def thin(counts: Image, part: float, generator: np.random.Generator) -> Image:
    """Return every photon with a probability."""
    where = np.nonzero(counts)
    thinned = np.zeros_like(counts)
    thinned[where] = generator.binomial(counts[where], part)
    return thinned


def scatter(smooth: FloatArray, generator: np.random.Generator) -> Image:
    """Return independent photons with a mean per pixel."""
    mass = np.cumsum(smooth)
    photons = generator.random(generator.poisson(mass[-1])) * mass[-1]
    pixels = np.searchsorted(mass, photons, side="right")
    return np.bincount(pixels, minlength=smooth.size).reshape(smooth.shape)


def draw_spots(
    usable: npt.NDArray[np.bool_], number: int, mean: float, generator: np.random.Generator
) -> Image:
    """Return the photons of spots anywhere, with Wilson intensities that fall with resolution."""
    means = mean * 10.0 ** -generator.uniform(0.0, _DECADES, number)
    photons = generator.poisson(generator.exponential(means))
    middle = np.repeat(generator.random((number, 2)) * usable.shape, photons, axis=0)
    row, column = np.floor(generator.normal(middle, _SPOT_PX)).astype(int).T
    height, width = usable.shape
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    counts = np.zeros(usable.shape, np.int64)
    np.add.at(counts, (row[inside], column[inside]), 1)
    return counts * usable


class Tally:
    """What was found in the parts of a scene, and what of it is confirmed."""

    def __init__(self) -> None:
        self.found = self.not_sure = 0
        self.judged: list[float] = []
        self.true: list[int] = []

    def add(self, peaks: PeakArray, split: Split, usable: npt.NDArray[np.bool_]) -> Boxes:
        """Count the peaks of a part, and return their boxes in the rest."""
        self.found += len(peaks)
        if split.spots is not None:
            around = _sums(split.spots, _TRUE_HALF)
            here = around[peaks["ss"].astype(int), peaks["fs"].astype(int)]
            self.true.append(int((here == 0).sum()))
        return look_up(split.rest, usable, peaks["fs"], peaks["ss"], peaks["n_pixels"])


class Judge:
    """A peak model behind the finder, as in the main job."""

    def __init__(self, path: Path, arrays: FrameArrays) -> None:
        models = Models(PeakRunner(path, None, torch.device("cpu")), None)
        self._judge = FrameJudge(models)
        self._arrays = arrays

    def peaks(self, counts: npt.NDArray[np.int64], found: BlockResult) -> PeakArray:
        """Return the peaks of a frame that are reported."""
        result = found.frames[0]
        patches = cut_patches(
            [Candidates(result.peaks[: result.n_peaks], result.background, result.ring_centre_px)],
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
    scene: str,
    finder: PoissonFinder,
    judge: Judge | None,
    maker: PlaneMaker,
    usable: npt.NDArray[np.bool_],
    draw: Callable[[], Split],
    wanted: float,
    splits: int,
    options: argparse.Namespace,
    generator: np.random.Generator,
) -> None:
    """Print the line of one scene and number of false peaks, and that with a model."""
    words = mask_words(usable.ravel())
    control = np.flatnonzero(~binary_dilation(~usable, iterations=6))
    hits, expected, photons, random, taken = 0, 0.0, 0.0, [], []
    tallies = {scene: Tally()} if judge is None else {scene: Tally(), "  with the model": Tally()}
    for _ in range(splits):
        split = draw()
        photons += split.part.sum() / usable.sum() / splits
        image = split.part.astype(np.uint16).ravel()
        block = finder.find_block([maker.from_array(image, words)])
        result = block.frames[0]
        hits += result.is_hit
        expected += result.expected_false
        lists = [result.peaks[: result.n_peaks]]
        if judge is not None:
            lists.append(judge.peaks(split.part, block))
            gone = lists[0][~np.isin(_places(lists[0]), _places(lists[1]))]
            boxes = look_up(split.rest, usable, gone["fs"], gone["ss"], gone["n_pixels"])
            taken.append(gone[boxes.confirmed(options.confirm)])
        for tally, peaks in zip(tallies.values(), lists, strict=True):
            boxes = tally.add(peaks, split, usable)
            tally.not_sure += int((~boxes.confirmed(options.confirm)).sum())
            tally.judged.append(boxes.n_false(options.judge))
        pick = generator.choice(control, 200)
        places = pick % usable.shape[1] + 0.5, pick // usable.shape[1] + 0.5
        boxes = look_up(split.rest, usable, *places, np.full(len(pick), 9))
        random.append(boxes.confirmed(options.confirm).mean())
    for label, tally in tallies.items():
        confirmed, allowed = (
            1 - each / max(tally.found, 1) for each in (tally.not_sure, wanted * splits)
        )
        print(
            f"{label:26s} {wanted:5g} {expected / splits:6.2f} {splits:6d} {photons:8.2g} "
            f"{tally.found / splits:7.1f} {tally.not_sure / splits:12.2f} "
            f"{(tally.not_sure + 1) ** 0.5 / splits:5.2f} "
            f"{confirmed:10.4f} {max(0.0, allowed):9.4f} {np.mean(random):10.4f} "
            f"{np.mean(tally.judged):9.2f} {np.std(tally.judged) / splits**0.5:5.2f} "
            f"{np.mean(tally.true) if tally.true else np.nan:6.2f} {hits:5d}",
            flush=True,
        )
    if any(map(len, taken)):
        print("  confirmed, taken away: " + _where(np.concatenate(taken)), flush=True)


def _places(peaks: PeakArray) -> npt.NDArray[np.complex128]:
    places: npt.NDArray[np.complex128] = peaks["fs"] + 1j * peaks["ss"]
    return places


def _where(peaks: PeakArray) -> str:
    """Return how many peaks there are at places (fs, ss) that are a few pixels apart."""
    places = _places(peaks)
    words = []
    while len(places):
        here = np.abs(places - places[0]) < _SAME_PX
        words.append((int(here.sum()), f"({places[0].real:.0f}, {places[0].imag:.0f})"))
        places = places[~here]
    return ", ".join(f"{number} at {place}" for number, place in sorted(words, reverse=True))


def compare(name: str, options: argparse.Namespace, generator: np.random.Generator) -> None:
    """Print the lines of one frame and of its replicas."""
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
    x, y = fs - centre[0], ss - centre[1]
    smooth = smooth_background(counts, usable, np.hypot(x, y), np.arctan2(y, x))

    def split_frame() -> Split:
        part = thin(counts, options.part, generator)
        return Split(part, counts - part, None)

    def split_replica(number: int) -> Split:
        spots = draw_spots(usable, number, options.spot_photons, generator)
        background = scatter(smooth, generator)
        bragg, part = (thin(each, options.part, generator) for each in (spots, background))
        return Split(part + bragg, background + spots - part - bragg, bragg)

    scenes = {
        name: (split_frame, options.splits),
        "  smooth background": (lambda: split_replica(0), options.replicas),
        "  and weak spots": (lambda: split_replica(options.spots), options.replicas),
    }
    for wanted in options.asked:
        settings = PoissonSettings(false_peaks=wanted)
        finder = PoissonFinder(settings, geometry, layout, usable.ravel())
        judge = None
        if options.models is not None:
            judge = Judge(options.models, FrameArrays(geometry, layout, usable.ravel()))
        for scene, (draw, splits) in scenes.items():
            measure(scene, finder, judge, maker, usable, draw, wanted, splits, options, generator)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--asked", type=float, nargs="+", default=[1.0, 10.0])
    parser.add_argument("--splits", type=int, default=20, help="of the real frames")
    parser.add_argument("--replicas", type=int, default=10, help="splits of each replica")
    parser.add_argument("--part", type=float, default=0.1, help="of the photons to be searched")
    parser.add_argument(
        "--middle", action="store_true", help="a geometry that takes the middle for the centre"
    )
    parser.add_argument("--models", type=Path, help="file of a peak model, to judge by too")
    parser.add_argument("--confirm", type=float, default=1e-3, help="probability by chance")
    parser.add_argument("--judge", type=float, default=0.1, help="probability by chance")
    parser.add_argument("--spots", type=int, default=600, help="weak spots of a replica")
    parser.add_argument("--spot-photons", type=float, default=200.0, help="mean of the strongest")
    options, generator = start(parser)
    print(
        "                                                  photons   peaks  not confirmed        "
        "share of peaks confirmed  at random  estimated        truly\n"
        "frame                      asked attain. splits   per px per split    per split    +- "
        "  measured at least     places     false    +-  false  hits"
    )
    for name in FRAMES:
        if not (REAL / name).exists():
            print(f"{name}: not here, skipped")
            continue
        compare(name, options, generator)


if __name__ == "__main__":
    main()
