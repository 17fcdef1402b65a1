"""``cxlsfind-simulate``: a simulated run with known truth."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cxlsfind.cli.settings_file import file_arguments
from cxlsfind.cli.simulate_parser import build_parser
from cxlsfind.errors import UsageError
from cxlsfind.parallel.signals import stop_requests

if TYPE_CHECKING:
    from cxlsfind.sim.background.settings import BackgroundSettings
    from cxlsfind.sim.crystals.cell import UnitCell
    from cxlsfind.sim.detector import PixelArray
    from cxlsfind.sim.pattern_run import RunSettings
    from cxlsfind.sim.patterns import PatternSettings
    from cxlsfind.sim.readout import ReadoutSettings
    from cxlsfind.sim.spectrum import Spectrum


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate a run; return the exit code."""
    with stop_requests() as stop:
        arguments = _read(sys.argv[1:] if argv is None else list(argv))
        # h5py and numba are loaded only by a simulation, so that --help stays quick.
        from cxlsfind.parallel.simulation import simulate

        return simulate(
            lambda: _run_settings(arguments), arguments.output, arguments.frames_per_file, stop
        )


def _read(argv: list[str]) -> argparse.Namespace:
    """Return the options: the command line's over those of a file over the defaults."""
    parser = build_parser()
    first = parser.parse_args(argv)
    if first.config is None:
        return first
    parser.place = str(first.config)
    try:
        from_file = file_arguments(first.config, parser)
    except ValueError as error:
        parser.error(str(error))
    parser.parse_args([*from_file, "-o", str(first.output)])
    parser.place = ""
    return parser.parse_args([*from_file, *argv])


def _run_settings(arguments: argparse.Namespace) -> RunSettings:
    """Return the run that is asked for.

    Raises
    ------
    CxlsfindError
        Something that is asked for does not exist or has no meaning.
    """
    import numpy as np

    from cxlsfind.sim.pattern_run import RunSettings
    from cxlsfind.sim.tuning import tuned

    for flag, value, least in (
        ("-n", arguments.frames, 1),
        ("--seed", arguments.seed, 0),
        ("--frames-per-file", arguments.frames_per_file, 0),
    ):
        if value < least:
            message = f"{flag} is {value}: give {least} or more"
            raise UsageError(message)
    patterns = _pattern_settings(arguments)
    if arguments.spots is not None or arguments.photons is not None:
        patterns = tuned(patterns, spots=arguments.spots, photons=arguments.photons)
    kinds: dict[int, type[np.unsignedinteger]] = {8: np.uint8, 16: np.uint16, 32: np.uint32}
    return RunSettings(patterns, arguments.frames, arguments.hit_fraction, kinds[arguments.bits])


def _pattern_settings(arguments: argparse.Namespace) -> PatternSettings:
    from cxlsfind.sim.crystals.catalogue import load_crystal
    from cxlsfind.sim.negatives import NegativeSettings
    from cxlsfind.sim.patterns import PatternSettings
    from cxlsfind.sim.reach import finest_spacing_m

    detector = _detector(arguments.detector)
    spacing = finest_spacing_m(
        detector, arguments.photon_energy, arguments.camera_length, arguments.bandwidth
    )
    crystal = load_crystal(
        arguments.crystal,
        d_min_m=max(spacing, arguments.d_min * 1e-10),
        cell=_cell(arguments.cell),
        symmetry=arguments.symmetry,
        seed=arguments.crystal_seed,
    )
    return PatternSettings(
        detector=detector,
        crystal=crystal,
        photon_energy_ev=arguments.photon_energy,
        clen_m=arguments.camera_length,
        photons=arguments.flux,
        beam_radius_m=arguments.beam_radius * 1e-6,
        beam_profile=arguments.beam_profile,
        bandwidth=arguments.bandwidth,
        spectrum=_spectrum(arguments.spectrum, arguments.photon_energy),
        divergence_rad=arguments.divergence * 1e-3,
        mosaicity_rad=arguments.mosaicity * 1e-3,
        polarisation=arguments.polarisation,
        crystal_size_m=arguments.crystal_size * 1e-6,
        size_spread=arguments.size_spread,
        offset_m=arguments.crystal_offset * 1e-6,
        lattices=arguments.lattices,
        centre_px=arguments.beam_centre,
        centre_spread_px=arguments.centre_spread,
        beam_spread=arguments.beam_spread,
        energy_spread=arguments.energy_spread,
        background=_background(arguments),
        readout=_readout(arguments),
        negatives=NegativeSettings(
            ice_rings=arguments.ice_rings,
            ice_spots=arguments.ice_spots,
            salt=arguments.salt,
            peg=arguments.peg,
        ),
        seed=arguments.seed,
    )


def _background(arguments: argparse.Namespace) -> BackgroundSettings:
    from cxlsfind.sim.background.settings import BackgroundSettings

    return BackgroundSettings(
        water_m=arguments.water * 1e-6,
        materials=tuple((name, size * 1e-6) for name, size in arguments.material or ()),
        air_m=arguments.air * 1e-3,
        flight_in_air=arguments.flight_in_air,
        streak=arguments.jet_streak,
        spread=arguments.background_spread,
        mean=arguments.background,
    )


def _readout(arguments: argparse.Namespace) -> ReadoutSettings:
    from cxlsfind.sim.readout import ReadoutSettings

    return ReadoutSettings(
        pulses=arguments.pulses,
        flat_field=arguments.flat_field,
        charge_sharing=arguments.charge_sharing,
        dead_fraction=arguments.dead_pixels,
        hot_pixels=arguments.hot_pixels,
        twinkling_pixels=arguments.twinkling_pixels,
        cosmics=arguments.cosmics,
        beam_stop_px=arguments.beam_stop,
        holder_px=arguments.beam_stop_arm,
    )


def _detector(name: str) -> PixelArray:
    """Return a detector by its name, or that of a geometry file."""
    from cxlsfind.geometry.crystfel import read_geometry
    from cxlsfind.geometry.shipped import find_geometry
    from cxlsfind.sim.detector import DETECTORS, GeometryDetector

    if name in DETECTORS:
        return DETECTORS[name]
    path = find_geometry(name)
    return GeometryDetector(path.stem, read_geometry(path, need_beam=False))


def _cell(text: str | None) -> UnitCell | None:
    """Return a cell from six numbers, or from a file that gives it."""
    from cxlsfind.sim.crystals.cell import UnitCell, read_cell

    if text is None:
        return None
    words = text.replace(",", " ").split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return read_cell(Path(text))
    if len(numbers) != 6:
        raise UsageError(f"--cell has {len(numbers)} numbers: expected a b c al be ga, or a file")
    return UnitCell(*numbers)


def _spectrum(name: str, photon_energy_ev: float) -> Literal["tophat", "gaussian"] | Spectrum:
    """Return the name of a shape, or a spectrum from a file of two columns."""
    if name == "tophat":
        return "tophat"
    if name == "gaussian":
        return "gaussian"
    from cxlsfind.sim.spectrum import read_spectrum

    return read_spectrum(Path(name), photon_energy_ev)
