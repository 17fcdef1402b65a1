"""What a photon counter adds and takes away: bad pixels, shadows, charge sharing, pulses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import UsageError
from cxlsfind.kernels.sim_counting import count_pulses
from cxlsfind.sim.detector import PixelArray
from cxlsfind.sim.randomness import Use, stream

Counts = npt.NDArray[np.uint32]

#: Counts per pixel and second without any light: 0.07 per hour (Dectris, EIGER).
DARK_RATE: Final = 0.07 / 3600.0
#: What can be asked for: name, least and most.
_LIMITS: Final = (
    ("pulses", 0, 1e9),
    ("flat_field", 0.0, 0.2),
    ("charge_sharing", 0.0, 1.0),
    ("dead_fraction", 0.0, 1.0),
    ("hot_pixels", 0, 1e6),
    ("twinkling_pixels", 0, 1e6),
    ("cosmics", 0.0, 1000.0),
    ("beam_stop_px", 0.0, 1e5),
    ("holder_px", 0.0, 1e5),
    ("frame_time_s", 1e-9, 1e4),
)
#: Pixels' efficiencies keep within this many standard deviations.
_FLAT_REACH: Final = 4.0
#: Hot pixels count at rates between these per frame, evenly in the logarithm.
_HOT_RATES: Final = (0.05, 200.0)
#: Twinkling pixels change once in this many frames, and are hot this share of the time.
_TWINKLE_FRAMES: Final = 16
_TWINKLE_SHARE: Final = 0.3
#: Steps (ss, fs) to the pixels that share a photon's charge.
_SIDES: Final = ((1, 0), (-1, 0), (0, 1), (0, -1))
#: Mean length of a cosmic ray's track, px.
_TRACK_PX: Final = 12.0


@dataclass(frozen=True, slots=True)
class ReadoutSettings:
    """The detector's own part.

    Parameters
    ----------
    pulses
        X-ray pulses per frame: no pixel counts more than one photon of a pulse. 0: a continuous
        beam, every photon counts.
    flat_field
        Standard deviation of the pixels' efficiencies, relative.
    charge_sharing
        Share of the photons that a neighbouring pixel counts as well.
    dead_fraction
        Share of dead pixels, which the file's mask names.
    hot_pixels, twinkling_pixels
        Pixels that count by themselves, always or at times, and that no mask names.
    cosmics
        Mean number of tracks of cosmic rays in a frame.
    beam_stop_px, holder_px
        Radius of the beam stop's shadow, and width of the shadow of the arm that holds it from
        below (towards larger ss), px.
    frame_time_s
        Exposure time of a frame.

    Raises
    ------
    UsageError
        A number has no meaning.
    """

    pulses: int = 1000
    flat_field: float = 0.01
    charge_sharing: float = 0.0
    dead_fraction: float = 1e-4
    hot_pixels: int = 0
    twinkling_pixels: int = 0
    cosmics: float = 0.0
    beam_stop_px: float = 0.0
    holder_px: float = 0.0
    frame_time_s: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse numbers without a meaning."""
        for name, low, high in _LIMITS:
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"{name} is {value:g}: expected {low:g} to {high:g}")


class Readout:
    """A detector: what does not change in a run, and how photons become counts.

    Parameters
    ----------
    array
        The detector.
    settings
        Its faults.
    beam_px
        Where the direct beam meets the data array (fs, ss), px from the corner of pixel 0.
    seed
        Settles the faults' places.
    """

    def __init__(
        self,
        array: PixelArray,
        settings: ReadoutSettings,
        beam_px: tuple[float, float],
        seed: int,
    ) -> None:
        self.settings = settings
        self.shape = array.shape
        self.pixel_mask = array.pixel_mask(settings.dead_fraction, seed)
        #: Pixels that the mask of the files leaves, flat.
        self.usable = (self.pixel_mask == 0).ravel()
        #: Chance that a photon on a pixel is counted, flat.
        self.efficiency = self._efficiency(beam_px, seed)
        self.best = float(self.efficiency.max(initial=0.0))
        #: The usable ones; int64.
        self.good = np.flatnonzero(self.usable)
        rng = stream(seed, Use.BAD_PIXELS)
        number = settings.hot_pixels + settings.twinkling_pixels
        n_good = len(self.good)
        self._hot = self.good[rng.integers(0, max(n_good, 1), number if n_good else 0)]
        low, high = _HOT_RATES
        self._rates = low * (high / low) ** rng.random(len(self._hot))

    @property
    def dark(self) -> float:
        """Counts per pixel and frame without any light."""
        return DARK_RATE * self.settings.frame_time_s

    def count(self, photons: Counts, seed: int, number: int) -> Counts:
        """Return what the detector reads of a frame, flat.

        Parameters
        ----------
        photons
            Photons on every pixel, those that the efficiency loses taken off; flat. Overwritten.
        seed, number
            Settle, together, what is random.
        """
        rng = stream(seed, Use.READOUT, number)
        settings = self.settings
        if settings.charge_sharing > 0.0:
            self._share_charge(rng, photons)
        if settings.pulses > 0:
            count_pulses(rng, photons, settings.pulses)
        if len(self._hot):
            is_on = self._is_hot(seed, number)
            np.add.at(photons, self._hot[is_on], rng.poisson(self._rates[is_on]).astype(np.uint32))
        for _ in range(rng.poisson(settings.cosmics)):
            track = self._track(rng)
            photons[track[self.usable[track]]] += 1
        return photons

    def _efficiency(self, beam_px: tuple[float, float], seed: int) -> npt.NDArray[np.float32]:
        spread = self.settings.flat_field
        rng = stream(seed, Use.FLAT_FIELD)
        result: npt.NDArray[np.float32] = rng.standard_normal(self.usable.size, np.float32)
        np.clip(result, -_FLAT_REACH, _FLAT_REACH, out=result)
        result *= np.float32(spread)
        result += np.float32(1.0)
        plane = result.reshape(self.shape)
        fs = np.arange(self.shape[1]) + 0.5 - beam_px[0]
        ss = (np.arange(self.shape[0]) + 0.5 - beam_px[1])[:, None]
        plane[fs**2 + ss**2 < self.settings.beam_stop_px**2] = 0.0
        plane[(np.abs(fs) < 0.5 * self.settings.holder_px) & (ss > 0.0)] = 0.0
        result[~self.usable] = 0.0
        return result

    def _is_hot(self, seed: int, number: int) -> npt.NDArray[np.bool_]:
        settled = stream(seed, Use.TWINKLING, number // _TWINKLE_FRAMES)
        result = settled.random(len(self._hot)) < _TWINKLE_SHARE
        result[: self.settings.hot_pixels] = True
        return result

    def _share_charge(self, rng: np.random.Generator, counts: Counts) -> None:
        """Let some photons count in one of the four pixels beside theirs as well."""
        lit = np.flatnonzero(counts)
        extra = rng.binomial(counts[lit], self.settings.charge_sharing)
        lit, extra = lit[extra > 0], extra[extra > 0]
        ss, fs = np.divmod(lit, self.shape[1])
        sides = rng.multinomial(extra, np.full(4, 0.25))
        for number, (down, right) in zip(sides.T, _SIDES, strict=True):
            row, column = ss + down, fs + right
            inside = (row >= 0) & (row < self.shape[0]) & (column >= 0) & (column < self.shape[1])
            pixel = row[inside] * self.shape[1] + column[inside]
            # Unusable pixels count nothing.
            added = number[inside] * self.usable[pixel]
            np.add.at(counts, pixel, added.astype(np.uint32))

    def _track(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Return the pixels of one track, those on the array."""
        steps = np.arange(0.0, rng.exponential(_TRACK_PX), 0.5)
        turn = rng.uniform(0.0, 2.0 * math.pi)
        ss = np.floor(rng.uniform(0, self.shape[0]) + steps * math.sin(turn)).astype(np.int64)
        fs = np.floor(rng.uniform(0, self.shape[1]) + steps * math.cos(turn)).astype(np.int64)
        inside = (ss >= 0) & (ss < self.shape[0]) & (fs >= 0) & (fs < self.shape[1])
        return np.unique(ss[inside] * self.shape[1] + fs[inside])
