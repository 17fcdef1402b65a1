"""What the photons between the spots of a run say of photon energy, camera length and beam.

Water scatters alike all around the beam, but for polarisation. What lies in some sectors alone,
the shadow of a holder or the streak of a jet, is left out before the rings are judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cxlsfind.geometry.maps import sector_angles
from cxlsfind.geometry.model import Geometry
from cxlsfind.models.centre import BeamCentre, centre_from_sectors
from cxlsfind.models.parameters import ParameterPosterior, estimate_parameters
from cxlsfind.models.ring_fit import RingProfile
from cxlsfind.models.ring_posterior import Header
from cxlsfind.records import RingLight
from cxlsfind.units import wavelength_m

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

#: How far headers are trusted: part of the photon energy, and metres of the camera length.
ENERGY_TRUST: Final = 0.003
CLEN_TRUST_M: Final = 5e-4

#: Fewest photons for an alarm: with fewer anything looks like water, and nothing is a misfit. And
#: how far from the beam there must be light, q per angstrom by the header, so that water's ring is
#: in view, and how well it must be that of water.
_ALARM_PHOTONS: Final = 1e6
_ALARM_Q: Final = 1.8
_ALARM_MISFIT: Final = 1.4

#: Cells that differ from the others of their ring by more standard deviations, where a hundredth
#: counts as one, are something else; if so many photons are expected that this can be told.
_APART: Final = 4.0
_FLOOR: Final = 0.01
_FEWEST_PHOTONS: Final = 50.0
#: Rings whose cells of one sector are judged together, too.
_BAND: Final = 16
#: Rings of which less than this part is left say nothing.
_LEAST_PART: Final = 0.5
#: Up to this q, per angstrom, water scatters evenly; rings that have less than this part of the
#: light a little farther out lie in the shadow of a beam stop, and so do those inside them.
_FLAT_Q: Final = 0.8
_SHADOW: Final = 0.8
_ROUNDS: Final = 4

#: The centre is told where at least this part of the light looks like that of water.
_WHOLE: Final = 0.97
#: Two centres this far apart, squared and in standard deviations, are not of one beam.
_CENTRES_APART: Final = 13.8


@dataclass(frozen=True, slots=True, eq=False)
class BeamFinding:
    """What was found of frames that share a header.

    Parameters
    ----------
    light
        The frames.
    coffset_m
        What the geometry adds to the header's camera length, metres.
    alone, both
        From the photons alone, and with the header; ``None`` with too few photons.
    by_energy
        With the header's photon energy alone; where there is an alarm.
    centre
        The beam, px from the geometry's; ``None`` where it cannot be told.
    is_off
        Whether the beam is plainly elsewhere.
    """

    light: RingLight
    coffset_m: float
    alone: ParameterPosterior | None
    both: ParameterPosterior | None
    by_energy: ParameterPosterior | None
    centre: BeamCentre | None
    is_off: bool

    def summary(self) -> dict[str, Any]:
        """Return it for the summary of the run."""
        header = self.light
        found: dict[str, Any] = {
            "frames": header.n_frames,
            "photons": int(header.cells[0].sum()),
            "header": {
                "photon_energy_eV": _rounded(header.photon_energy_ev),
                "sigma_photon_energy_eV": _rounded(ENERGY_TRUST * header.photon_energy_ev),
                "camera_length_m": _rounded(header.clen_m),
                "sigma_camera_length_m": CLEN_TRUST_M,
            },
            "photons_alone": self._numbers(self.alone),
            "with_header": self._numbers(self.both),
        }
        if self.alone is not None and self.both is not None:
            found["photon_energy"] = _told(self.alone.is_energy_identified)
            found["camera_length"] = _told(self.alone.is_clen_identified)
            found["misfit"] = _rounded(self.both.misfit)
            found["conflict_sigma"] = _rounded(self.both.conflict)
        found["alarm"] = self.by_energy is not None
        found["beam_centre_px"] = None
        if self.centre is not None:
            found["beam_centre_px"] = {
                "x": _rounded(self.centre.x),
                "y": _rounded(self.centre.y),
                "sigma_x": _rounded(self.centre.sigma_x),
                "sigma_y": _rounded(self.centre.sigma_y),
            }
        found["beam_centre_alarm"] = self.is_off
        return found

    def warnings(self) -> Iterator[str]:
        """Yield what the user should look at; sentences."""
        if self.by_energy is not None and self.both is not None:
            header, said = self.light, self.by_energy
            yield (
                f"photons and header disagree by {abs(self.both.conflict):.1f} standard "
                f"deviations in {header.n_frames} frames: the header says "
                f"{header.photon_energy_ev:.5g} eV and {1e3 * header.clen_m:.4g} mm, but with that "
                "photon energy the background's rings ask for a camera length of "
                f"{1e3 * (said.clen_m - self.coffset_m):.4g} +- {1e3 * said.sigma_clen_m:.2g} mm: "
                "check the camera length (clen, coffset) and the photon energy"
            )
        if self.is_off and self.centre is not None:
            x, y = self.centre.x, self.centre.y
            yield (
                f"the background is centred {x:.1f} px in x and {y:.1f} px in y from the "
                f"geometry's beam (+- {self.centre.sigma_x:.1g} px): check corner_x and corner_y "
                "of all panels, or correct them by the opposite"
            )

    def _numbers(self, said: ParameterPosterior | None) -> dict[str, Any] | None:
        if said is None:
            return None
        return {
            "photon_energy_eV": _rounded(said.photon_energy_ev),
            "sigma_photon_energy_eV": _rounded(said.sigma_energy_ev),
            "camera_length_m": _rounded(said.clen_m - self.coffset_m),
            "sigma_camera_length_m": _rounded(said.sigma_clen_m),
            "correlation": _rounded(said.correlation),
        }


def check_beam(light: RingLight, geometry: Geometry) -> BeamFinding:
    """Return what the photons of some frames say of their header and geometry.

    Parameters
    ----------
    geometry
        With all panels in one plane.
    """
    panel = geometry.panels[0]
    distance = light.clen_m + panel.coffset
    photons, exposure, *moments = light.cells
    angle = np.broadcast_to(sector_angles(photons.shape[1]), photons.shape)
    radius, cosine, sine = np.array(moments) / np.maximum(exposure, 1e-300)
    tangent = radius / (panel.res * distance)
    # By which part polarisation changes the light along its axis.
    waves = tangent**2 / (2.0 + tangent**2) * np.stack([cosine, sine])
    cells = _Cells(photons, exposure, radius, angle, waves)
    wave_number = 2.0 * np.pi / (1e10 * wavelength_m(light.photon_energy_ev))
    q = 2.0 * wave_number * np.sin(0.5 * np.arctan(tangent))
    cells = cells.beyond_beam_stop(q)
    kept = cells.exposure > 0.0
    centre = None
    for _ in range(_ROUNDS):
        centre = cells.centre(kept)
        kept = cells.alike(kept, centre)
    if not cells.is_whole(kept) or not cells.agree(kept):
        centre = None
    profile = cells.profile(kept, centre, 1.0 / panel.res)
    energy = Header(light.photon_energy_ev, ENERGY_TRUST * light.photon_energy_ev)
    clen = Header(distance, CLEN_TRUST_M)
    both = estimate_parameters(profile, energy=energy, clen=clen)
    by_energy = None
    is_judged = (
        both is not None
        and bool(profile.photons.sum() >= _ALARM_PHOTONS)
        and both.misfit <= _ALARM_MISFIT
    )
    is_in_view = float(q[kept].max(initial=0.0)) >= _ALARM_Q
    if is_judged and is_in_view and both is not None and both.is_in_conflict:
        by_energy = estimate_parameters(profile, energy=energy)
    return BeamFinding(
        light,
        panel.coffset,
        estimate_parameters(profile),
        both,
        by_energy,
        centre,
        is_judged and centre is not None and centre.is_off,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """Light by ring and sector, (rings, sectors).

    Parameters
    ----------
    photons, exposure
        As in :class:`~cxlsfind.records.RingLight`.
    radius_px, angle
        Where the cells are.
    waves
        By which part full polarisation along x, and along the diagonal, change the light, (2,
        rings, sectors).
    """

    photons: FloatArray
    exposure: FloatArray
    radius_px: FloatArray
    angle: FloatArray
    waves: FloatArray

    def beyond_beam_stop(self, q: FloatArray) -> _Cells:
        """Return the cells without rings in the shadow of a beam stop, which water does not make.

        Parameters
        ----------
        q
            Of cells, per angstrom, by the header.
        """
        photons, exposure = self.photons.sum(axis=1), self.exposure.sum(axis=1)
        level = photons / np.maximum(exposure, 1e-300)
        lit = (exposure[:-2] > 0.0) & (photons[2:] > _FEWEST_PHOTONS)
        near = np.where(self.exposure > 0.0, q, np.inf).min(axis=1)[:-2] < _FLAT_Q
        shadowed = np.flatnonzero(lit & near & (level[:-2] < _SHADOW * level[2:]))
        exposure = self.exposure.copy()
        exposure[: shadowed[-1] + 2 if shadowed.size else 0] = 0.0
        return replace(self, exposure=exposure)

    def centre(self, kept: BoolArray) -> BeamCentre | None:
        """Return where the beam is by some cells."""
        cells = self.photons * kept, self.exposure * kept
        return centre_from_sectors(*cells, self.radius_px, self.angle)

    def is_whole(self, kept: BoolArray) -> bool:
        """Tell whether next to nothing is left out: edges of shadows pull a centre."""
        return bool((self.exposure * kept).sum() >= _WHOLE * self.exposure.sum())

    def agree(self, kept: BoolArray) -> bool:
        """Tell whether the beam is at one place by the inner rings and by the outer ones."""
        share = np.cumsum((self.photons * kept).sum(axis=1))
        inner = (share <= 0.5 * share[-1])[:, None]
        one, other = (self.centre(kept & part) for part in (inner, ~inner))
        if one is None or other is None:
            return True
        apart = (one.x - other.x) ** 2 / (one.sigma_x**2 + other.sigma_x**2)
        apart += (one.y - other.y) ** 2 / (one.sigma_y**2 + other.sigma_y**2)
        return bool(apart < _CENTRES_APART)

    def alike(self, kept: BoolArray, centre: BeamCentre | None) -> BoolArray:
        """Return the cells that look like the others of their ring."""
        radius = self._radius(centre)
        lit = self.exposure > 0.0
        level, change = self._light(kept, radius)
        expected = self.exposure * level * change
        apart = _pulls(self.photons, expected)
        # What is plainly something else does not end with its cell.
        plainly = np.abs(apart) > 2.0 * _APART
        near = plainly | np.roll(plainly, 1, axis=1) | np.roll(plainly, -1, axis=1)
        near[1:] |= plainly[:-1]
        near[:-1] |= plainly[1:]
        # What is thin for a cell shows in many of them.
        bands = np.arange(0, len(expected), _BAND)
        seen, hoped = (np.add.reduceat(each * lit, bands) for each in (self.photons, expected))
        strange = np.repeat(np.abs(_pulls(seen, hoped)) > _APART, _BAND, axis=0)[: len(expected)]
        return lit & ~near & ~strange & (np.abs(apart) <= _APART)

    def profile(self, kept: BoolArray, centre: BeamCentre | None, pixel_m: float) -> RingProfile:
        """Return rings around the beam, of those of which enough is left."""
        radius = self._radius(centre)
        weight = self.exposure * kept
        seen = weight * self._light(kept, radius)[1]
        total = weight.sum(axis=1)
        enough = total > _LEAST_PART * np.maximum(self.exposure.sum(axis=1), 1e-300)
        middle = (weight * radius).sum(axis=1) / np.maximum(total, 1e-300)
        return RingProfile(
            middle[enough] * pixel_m,
            (self.photons * kept).sum(axis=1)[enough],
            seen.sum(axis=1)[enough],
        )

    def _radius(self, centre: BeamCentre | None) -> FloatArray:
        """Return distances from the beam: the geometry's, unless that is plainly elsewhere."""
        if centre is None or not centre.is_off:
            return self.radius_px
        ahead = centre.x * np.cos(self.angle) + centre.y * np.sin(self.angle)
        radius: FloatArray = self.radius_px - ahead
        return radius

    def _light(self, kept: BoolArray, radius: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the light of rings where each cell is, and how polarisation changes it.

        Parameters
        ----------
        kept
            Cells that tell the polarisation; rings are told by the median of all.
        """
        change = np.ones_like(radius)
        level = self._level(radius, change)
        for _ in range(_ROUNDS):
            expected = self.exposure * kept * level
            over = np.where(kept, self.photons, 0.0) - expected
            known = np.einsum("irs,rs,jrs->ij", self.waves, expected, self.waves) + np.eye(2)
            terms = np.linalg.solve(known, np.einsum("irs,rs->i", self.waves, over))
            change = 1.0 + np.tensordot(np.clip(terms, -1.0, 1.0), self.waves, 1)
            level = self._level(radius, change)
        return level, change

    def _level(self, radius: FloatArray, change: FloatArray) -> FloatArray:
        """Return the light of rings at every cell's radius: medians, and between rings."""
        exposure = self.exposure * change
        rings = np.flatnonzero((exposure > 0.0).any(axis=1))
        if not rings.size:
            return np.zeros_like(radius)
        photons, exposure = self.photons[rings] * (exposure[rings] > 0.0), exposure[rings]
        ratio = np.where(exposure > 0.0, photons / np.maximum(exposure, 1e-300), np.nan)
        total = exposure.sum(axis=1)
        # Medians of a few photons are zero.
        is_lit = photons.sum(axis=1) > _FEWEST_PHOTONS * (exposure > 0.0).sum(axis=1)
        level = np.where(is_lit, np.nanmedian(ratio, axis=1), photons.sum(axis=1) / total)
        place = (self.radius_px[rings] * exposure).sum(axis=1) / total
        between = np.interp(radius, place, np.log(np.maximum(level, 1e-300)))
        return np.asarray(np.exp(between), np.float64)


def _pulls(seen: FloatArray, hoped: FloatArray) -> FloatArray:
    """Return by how many standard deviations photons differ from those expected."""
    sigma = np.sqrt(np.maximum(hoped, 1.0) + (_FLOOR * hoped) ** 2)
    return np.where(hoped > _FEWEST_PHOTONS, seen - hoped, 0.0) / sigma


def _told(is_identified: bool) -> str:
    return "identified" if is_identified else "not identifiable"


def _rounded(value: float) -> float:
    """Return five digits: what lies beyond is nobody's business, and may differ by machine."""
    return float(f"{value:.5g}")
