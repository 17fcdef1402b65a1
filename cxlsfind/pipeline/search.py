"""From the frames of a block to their results, by one finder or the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from types import TracebackType
from typing import TYPE_CHECKING, Generic, NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt

from cxlsfind.config import RunConfig
from cxlsfind.finding.gains import adu_per_photon
from cxlsfind.finding.peakfinder8 import Peakfinder8, Peakfinder8Settings
from cxlsfind.finding.photons import FrameMaker, photons_from_adu
from cxlsfind.finding.planes import plane_frame
from cxlsfind.finding.poisson.canvas import PlacedFrame, build_canvas
from cxlsfind.finding.poisson.settings import PoissonResult, PoissonSettings
from cxlsfind.finding.rollover import count_rolled_over
from cxlsfind.geometry.maps import inverse_d
from cxlsfind.io.dtypes import delivered_type
from cxlsfind.io.reader import RunReader
from cxlsfind.io.run import Run
from cxlsfind.pipeline.model_judge import ModelJudge, Outcome, outcome_alone
from cxlsfind.pipeline.ring_light import ring_light
from cxlsfind.pipeline.ring_names import describe_rings
from cxlsfind.pipeline.ring_store import RingStore
from cxlsfind.records import (
    DenseFrame,
    FrameHeader,
    FrameResult,
    ModelVerdict,
    PeakArray,
    PlaneFrame,
    RingLight,
    Verdict,
)
from cxlsfind.units import wavelength_m

if TYPE_CHECKING:
    from cxlsfind.finding.poisson.finder import BlockResult, PoissonFinder

#: Peaks that make a hit for peakfinder8 unless ``--min-peaks`` says otherwise: the fewest that can
#: be indexed.
DEFAULT_MIN_PEAKS = 5

#: Part of the pixels that the beam can saturate; gaps of detectors are 5 % of theirs.
_MOST_SATURATED = 1e-3

#: Counts that were written as floats are this near to whole numbers.
_WHOLE = 1e-3

Image = TypeVar("Image", bound=PlaneFrame | PlacedFrame | DenseFrame, covariant=True)


class FinderKey(NamedTuple):
    """What a finder is built for: the mask and the position of the detector."""

    mask: int
    shift_m: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class ReadFrame(Generic[Image]):
    """A frame that was read and masked."""

    frame: int
    image: Image
    header: FrameHeader
    key: FinderKey
    mean_photons: float
    n_rolled_over: int


AnyFrame = ReadFrame[PlaneFrame | DenseFrame]


class FrameLoader:
    """Reads frames of a run and applies their masks; a context manager; for one thread."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._reader = RunReader(run)
        self._mask = -1
        self._maker: FrameMaker

    def __enter__(self) -> Self:
        """Return the loader itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all files."""
        self._reader.__exit__(kind, error, trace)

    def expect(self, frames: Iterable[int]) -> None:
        """Have the system fetch frames that will be loaded soon."""
        self._reader.expect(frames)

    def load(self, frame: int) -> AnyFrame:
        """Read one frame and apply its mask.

        A frame of readings lies in the loader's memory: the next frame overwrites it.

        Raises
        ------
        FrameError
            The frame cannot be read.
        """
        header = self._reader.header(frame)
        group = int(self._run.frames.group[frame])
        mask = self._run.groups[group].mask
        if mask != self._mask:  # files with masks of their own follow each other
            run = self._run
            self._maker = FrameMaker(run.geometry, run.layout, run.masks[mask])
            self._mask = mask
        energy = header.photon_energy_ev
        image = self._load_image(frame, energy)
        n_rolled_over = 0
        if np.dtype(self._run.sources[group].dtype) == np.uint8 and isinstance(image, PlaneFrame):
            n_rolled_over = count_rolled_over(image, self._run.layout)
        return ReadFrame(
            frame,
            image,
            header,
            FinderKey(mask, header.detector_shift_m),
            self._maker.mean_photons(image, energy),
            n_rolled_over,
        )

    def _load_image(self, frame: int, energy: float) -> PlaneFrame | DenseFrame:
        if self._maker.takes_packed(energy):
            packed = self._reader.packed(frame)
            if packed is not None:
                return self._maker.from_packed(packed)
        return self._maker.from_array(self._reader.read(frame), energy)


def to_canvas(run: Run, read: AnyFrame) -> ReadFrame[PlacedFrame]:
    """Return a frame as bit planes of photons on the canvas of the run's layout."""
    image = read.image
    if isinstance(image, DenseFrame):
        usable, energy = run.masks[read.key.mask], read.header.photon_energy_ev
        image = plane_frame(photons_from_adu(image, usable, run.geometry, run.layout, energy))
    placed = build_canvas(run.layout).lay(image)
    return ReadFrame(
        read.frame, placed, read.header, read.key, read.mean_photons, read.n_rolled_over
    )


class Peakfinder8Search:
    """peakfinder8, frame by frame; for one thread."""

    def __init__(self, run: Run, config: RunConfig, rings: RingStore) -> None:
        self._run = run
        self._rings = rings
        self._settings = peakfinder8_settings(config)
        self._min_peaks = DEFAULT_MIN_PEAKS if config.min_peaks is None else config.min_peaks
        # Nobody asks for the peaks of frames that are no hits: they need not be looked for.
        self._at_least = 1 if config.non_hits_in_stream else self._min_peaks
        self._finder: Peakfinder8 | None = None
        self._key: FinderKey | None = None

    def find(self, read: AnyFrame) -> FrameResult:
        """Return what is in a frame."""
        energy = read.header.photon_energy_ev
        peaks = self._finder_for(read.key).find(read.image, energy, self._at_least)
        _add_resolution(self._run, peaks, read.header)
        peaks["spot_probability"], peaks["kind"] = np.nan, -1
        return _result(read, peaks, is_hit=len(peaks) >= self._min_peaks)

    def warm_up(self, read: AnyFrame) -> None:
        """Compile all that frames with peaks need, which this one may not have."""
        self._finder_for(read.key).find(read.image, read.header.photon_energy_ev, at_least=0)

    def _finder_for(self, key: FinderKey) -> Peakfinder8:
        if self._finder is None or key != self._key:
            run = self._run
            rings, mask = self._rings.of(key.shift_m), run.masks[key.mask]
            self._finder = Peakfinder8(
                self._settings, run.geometry, run.layout, rings, mask, key.shift_m
            )
            self._key = key
        return self._finder


class PoissonSearch:
    """The likelihood ratio, block by block.

    Parameters
    ----------
    models
        Models that judge what it finds; ``None``: it decides alone.
    """

    def __init__(self, run: Run, config: RunConfig, models: ModelJudge | None = None) -> None:
        self._run = run
        self._models = models
        self._settings = poisson_settings(config)
        self._finder: PoissonFinder | None = None
        self._key: FinderKey | None = None

    def find(
        self, block: Sequence[ReadFrame[PlacedFrame]]
    ) -> tuple[list[FrameResult], npt.NDArray[np.int32], list[RingLight]]:
        """Return what is in the frames of a block, the pixels that were left out of it, and light.

        Frames with different masks or detector positions share nothing.
        """
        results: list[FrameResult] = []
        lying = [np.zeros(0, np.int32)]
        light: list[RingLight] = []
        for key, members in groupby(block, key=lambda read: read.key):
            frames = list(members)
            found = self._finder_for(key).find_placed([read.image for read in frames])
            lying.append(np.flatnonzero(self._run.masks[key.mask] & ~found.usable).astype(np.int32))
            light += ring_light([read.header for read in frames], found.light)
            for read, result in zip(frames, found.frames, strict=True):
                gains = adu_per_photon(self._run.geometry, read.header.photon_energy_ev)
                result.peaks["intensity"] = result.peaks["photons"] * gains[result.peaks["panel"]]
                _add_resolution(self._run, result.peaks, read.header)
            results += [
                _result(
                    read,
                    outcome.peaks,
                    is_hit=outcome.is_hit,
                    verdict=self._with_rings(outcome.verdict, result, read.header),
                    models=outcome.models,
                )
                for read, result, outcome in zip(
                    frames, found.frames, self._judge(frames, found), strict=True
                )
            ]
        return results, np.unique(np.concatenate(lying)), light

    def _judge(self, frames: Sequence[ReadFrame[PlacedFrame]], found: BlockResult) -> list[Outcome]:
        if self._models is None:
            return [outcome_alone(result) for result in found.frames]
        images = [read.image for read in frames]
        return self._models.judge(images, frames[0].key.shift_m, found)

    def _with_rings(self, verdict: Verdict, result: PoissonResult, header: FrameHeader) -> Verdict:
        rings = describe_rings(result.rings, self._run.geometry, header)
        return replace(verdict, ring_centre_px=result.ring_centre_px, rings=rings)

    def _finder_for(self, key: FinderKey) -> PoissonFinder:
        # It brings scipy along, which takes longer to load than hundreds of frames: where there is
        # another finder, there is no need for it.
        from cxlsfind.finding.poisson.finder import PoissonFinder

        if self._finder is None or key != self._key:
            run = self._run
            self._finder = PoissonFinder(
                self._settings, run.geometry, run.layout, run.masks[key.mask], key.shift_m
            )
            self._key = key
        return self._finder


def counts_problem(run: Run, read: AnyFrame) -> str:
    """Return why a frame does not hold photons in known units, as the likelihood ratio needs them.

    Returns
    -------
    A sentence for floats that are no whole numbers although the geometry says that one photon
    reads 1; else nothing.
    """
    is_gain_given = any(panel.adu_per_photon != 1.0 for panel in run.geometry.panels)
    if isinstance(read.image, PlaneFrame) or is_gain_given:
        return ""
    values = read.image.values[run.masks[read.key.mask]]
    values = values[np.isfinite(values)]
    broken = values[np.abs(values - np.rint(values)) > _WHOLE]
    if broken.size == 0:
        return ""
    return (
        f"{run.frames.filename(read.frame)} {run.frames.event(read.frame)}: the data are no photon "
        f"counts: there are values such as {broken[0]:g}, while the geometry says adu_per_photon = "
        "1; write the right adu_per_photon into the geometry, or use --peaks=peakfinder8 with "
        "--threshold"
    )


def unmasked_gaps(run: Run, read: AnyFrame) -> str:
    """Return a remark where so many pixels read the largest value that they must be gaps.

    Returns
    -------
    A sentence that says what to do; nothing where masks and flags leave few such pixels.
    """
    n_censored = len(read.image.censored)
    n_usable = int(np.count_nonzero(run.masks[read.key.mask])) - len(read.image.bad)
    if n_censored <= _MOST_SATURATED * n_usable:
        return ""
    dtype = delivered_type(np.dtype(run.sources[int(run.frames.group[read.frame])].dtype))
    largest = int(np.iinfo(dtype.str).max)
    # CrystFEL's flags are no good near the largest numbers of 32 bits.
    flag = largest - 1 if dtype.itemsize < 4 else 2_000_000_000
    return (
        f"{run.frames.filename(read.frame)} {run.frames.event(read.frame)}: {n_censored} of "
        f"{n_usable} usable pixels read {largest}, the largest value, as gaps and bad pixels do; "
        f"mask them: name the mask in the geometry, give --mask, or write flag_morethan = {flag}"
    )


def peakfinder8_settings(config: RunConfig) -> Peakfinder8Settings:
    """Return peakfinder8's part of the settings."""
    return Peakfinder8Settings(
        threshold=float("nan") if config.threshold is None else config.threshold,
        min_snr=config.min_snr,
        min_pix_count=config.min_pix_count,
        max_pix_count=config.max_pix_count,
        local_bg_radius=config.local_bg_radius,
        min_res=config.min_res,
        max_res=config.max_res,
    )


def poisson_settings(config: RunConfig) -> PoissonSettings:
    """Return the Poisson finder's part of the settings."""
    return PoissonSettings(
        false_peaks=config.false_peaks,
        max_peaks=config.max_peaks,
        hit_fpr=config.hit_fpr,
        pulses_per_frame=config.pulses_per_frame,
        min_peaks=config.min_peaks,
    )


def _result(
    read: ReadFrame[PlaneFrame | PlacedFrame | DenseFrame],
    peaks: PeakArray,
    *,
    is_hit: bool,
    verdict: Verdict | None = None,
    models: ModelVerdict | None = None,
) -> FrameResult:
    return FrameResult(
        frame=read.frame,
        is_hit=is_hit,
        peaks=peaks,
        header=read.header,
        mean_photons=read.mean_photons,
        n_censored=len(read.image.censored),
        verdict=verdict,
        models=models,
        n_rolled_over=read.n_rolled_over,
    )


def _add_resolution(run: Run, peaks: PeakArray, header: FrameHeader) -> None:
    if len(peaks) == 0:  # as of most frames
        return
    for panel in np.unique(peaks["panel"]).tolist():
        here = peaks["panel"] == panel
        peaks["inverse_d"][here] = inverse_d(
            run.geometry,
            panel,
            peaks["fs"][here],
            peaks["ss"][here],
            wavelength_m=wavelength_m(header.photon_energy_ev),
            clen_m=header.clen_m,
            shift_m=header.detector_shift_m,
        )
