"""Everything that a simulated frame depends on, beside its number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from cxlsfind.errors import UsageError
from cxlsfind.sim.background.settings import BackgroundSettings
from cxlsfind.sim.beam import Profile
from cxlsfind.sim.crystals.reflections import Crystal
from cxlsfind.sim.detector import PixelArray
from cxlsfind.sim.negatives import NegativeSettings
from cxlsfind.sim.readout import ReadoutSettings
from cxlsfind.sim.spectrum import Spectrum, gaussian, top_hat

#: What the formulas and tables are good for, and machines can compute: name, least and most.
_LIMITS: Final = (
    ("photon_energy_ev", 4e3, 3e4),
    ("clen_m", 1e-3, 100.0),
    ("photons", 0.0, 1e14),
    ("beam_radius_m", 1e-9, 1e-2),
    ("divergence_rad", 0.0, 0.1),
    ("mosaicity_rad", 0.0, 0.1),
    ("polarisation", 0.0, 1.0),
    ("crystal_size_m", 2e-8, 1e-2),
    ("size_spread", 0.0, 2.0),
    ("offset_m", 0.0, 1e-2),
    ("lattices", 1.0, 1000.0),
    ("centre_spread_px", 0.0, 1000.0),
    ("beam_spread", 0.0, 3.0),
    ("energy_spread", 0.0, 0.1),
)
_FARTHEST_PX: Final = 1e5


@dataclass(frozen=True, slots=True)
class PatternSettings:
    """All the physics of the frames of a run.

    Parameters
    ----------
    detector
        Pixels, and where they are.
    crystal
        Kind of crystal.
    photon_energy_ev, clen_m
        Middle of the spectrum, and camera length.
    photons
        Photons on the sample in a frame, the whole spectrum.
    beam_radius_m, beam_profile
        As in :class:`~cxlsfind.sim.beam.Beam`.
    bandwidth
        Relative width of the spectrum: full, or at half maximum for a Gaussian.
    spectrum
        Its shape: ``tophat``, ``gaussian``, or a spectrum itself, which then rules.
    divergence_rad, mosaicity_rad
        Full widths at half maximum of the directions of photons and of mosaic blocks, rad.
    polarisation
        Share of the photons whose electric field points along x.
    crystal_size_m, size_spread
        Edge of the cubic crystals, and standard deviation of its logarithm.
    offset_m
        Standard deviation, in x and in y, of the crystal's distance from the beam's centre.
    lattices
        Mean number of crystals in a frame with any, at least one.
    centre_px
        Where the direct beam meets the data array (fs, ss), px, if not where the detector's own
        geometry has it.
    centre_spread_px, beam_spread, energy_spread
        Standard deviations from frame to frame: of the centre in fs and in ss; of the logarithm
        of the beam's photons; of the photon energy, relative.
    background, readout, negatives
        The rest.
    seed
        With the number of a frame, settles everything random in it.

    Raises
    ------
    UsageError
        A number has no meaning.
    """

    detector: PixelArray
    crystal: Crystal
    photon_energy_ev: float = 7000.0
    clen_m: float = 0.15
    photons: float = 3e8
    beam_radius_m: float = 5e-6
    beam_profile: Profile = "disc"
    bandwidth: float = 0.01
    spectrum: Literal["tophat", "gaussian"] | Spectrum = "tophat"
    divergence_rad: float = 1e-3
    mosaicity_rad: float = 5e-4
    polarisation: float = 1.0
    crystal_size_m: float = 10e-6
    size_spread: float = 0.0
    offset_m: float = 0.0
    lattices: float = 1.0
    centre_px: tuple[float, float] | None = None
    centre_spread_px: float = 0.0
    beam_spread: float = 0.05
    energy_spread: float = 0.0
    background: BackgroundSettings = field(default_factory=BackgroundSettings)
    readout: ReadoutSettings = field(default_factory=ReadoutSettings)
    negatives: NegativeSettings = field(default_factory=NegativeSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers without a meaning."""
        for name, low, high in _LIMITS:
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"{name} is {value:g}: expected {low:g} to {high:g}")
        if self.centre_px is not None and not all(abs(x) <= _FARTHEST_PX for x in self.centre_px):
            raise UsageError(
                f"the beam's centre is {self.centre_px}: expected at most {_FARTHEST_PX:g} px"
            )
        if self.seed < 0:
            raise UsageError(f"the seed is {self.seed}: expected zero or more")
        self.make_spectrum()

    def make_spectrum(self) -> Spectrum:
        """Return the spectrum."""
        if isinstance(self.spectrum, Spectrum):
            return self.spectrum
        return (top_hat if self.spectrum == "tophat" else gaussian)(self.bandwidth)
