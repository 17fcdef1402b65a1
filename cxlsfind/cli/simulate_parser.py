"""The options of ``cxlsfind-simulate``."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from cxlsfind import __version__
from cxlsfind.cli.parser import RankParser
from cxlsfind.sim.crystals.names import CRYSTAL_NAMES
from cxlsfind.sim.detector import DETECTORS


def build_parser() -> RankParser:
    """Return the parser of the command line."""
    parser = RankParser(
        prog="cxlsfind-simulate",
        description="Simulate a run of still diffraction patterns as the Dectris file writer "
        "leaves it: crystals, water and other background, the detector's faults, and the truth. "
        "The defaults are proteinase K in 0.1 mm of water at 7 keV, 3e8 photons per frame. "
        "Runs under mpirun; the files are the same for any number of ranks.",
        allow_abbrev=False,
        formatter_class=_Formatter,
    )
    option = parser.add_argument
    option("--version", action="version", version=f"cxlsfind {__version__}")
    option("-o", dest="output", metavar="DIR", type=Path, required=True, help="directory to write")
    option("-n", dest="frames", metavar="N", type=int, default=100, help="number of frames")
    option("--seed", metavar="N", type=int, default=0, help="a run is settled by its seed")
    option(
        "--config",
        metavar="TOML",
        type=Path,
        help="file with any of these options as keys; flags win",
    )
    _number(parser, "--hit-fraction", "X", 0.5, "share of hits")
    option(
        "--frames-per-file",
        metavar="N",
        type=int,
        default=1000,
        help="images per data file; 0 puts all into the master file",
    )
    option("--bits", type=int, choices=(8, 16, 32), default=16, help="bits of a pixel in the files")
    _add_crystal(parser)
    _add_beam(parser)
    _add_background(parser)
    _add_detector(parser)
    _add_negatives(parser)
    return parser


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Tells the defaults of options that have one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        has_default = action.default is not None and action.default is not False
        return super()._get_help_string(action) if has_default else action.help


def _number(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup,
    flag: str,
    metavar: str,
    default: float | None,
    text: str,
) -> None:
    parser.add_argument(flag, metavar=metavar, type=_finite, default=default, help=text)


def _add_crystal(parser: RankParser) -> None:
    group = parser.add_argument_group("crystals")
    group.add_argument(
        "--crystal",
        metavar="NAME",
        default="proteinase_k",
        help=f"one of {', '.join(CRYSTAL_NAMES)}; or a file: .pdb or .cif with atoms, .hkl with "
        "squared structure factors",
    )
    group.add_argument(
        "--cell",
        metavar="CELL",
        help="'a b c al be ga' in A and degrees, or CrystFEL's cell file, for wilson and .hkl",
    )
    group.add_argument(
        "--symmetry",
        metavar="GROUP",
        help="space group or point group, as 'P 43 21 2' or 4/mmm, for wilson and .hkl",
    )
    group.add_argument(
        "--crystal-seed", metavar="N", type=int, default=0, help="settles Wilson intensities"
    )
    _number(group, "--d-min", "A", 1.5, "no reflections beyond this resolution, angstrom")
    _number(group, "--crystal-size", "UM", 10.0, "edge of the cubes, micrometres")
    _number(group, "--size-spread", "X", 0.0, "standard deviation of the size's logarithm")
    _number(group, "--crystal-offset", "UM", 0.0, "scatter of crystals about the beam's centre")
    _number(group, "--mosaicity", "MRAD", 0.5, "spread of mosaic blocks, FWHM, mrad")
    _number(group, "--lattices", "N", 1.0, "mean number of crystals in a hit")
    _number(group, "--spots", "N", None, "mean spots of a crystal: sets the bandwidth")
    _number(group, "--photons", "N", None, "mean photons of a spot: sets the flux")


def _add_beam(parser: RankParser) -> None:
    group = parser.add_argument_group("beam")
    _number(group, "--photon-energy", "EV", 7000.0, "photon energy in eV")
    _number(group, "--flux", "N", 3e8, "photons on the sample in a frame")
    group.add_argument(
        "--pulses",
        metavar="N",
        type=int,
        default=1000,
        help="X-ray pulses of a frame: a pixel counts one photon of each at most; 0: no limit",
    )
    _number(group, "--beam-radius", "UM", 5.0, "radius of the beam, micrometres")
    group.add_argument(
        "--beam-profile", choices=("disc", "gaussian"), default="disc", help="its cross-section"
    )
    _number(group, "--bandwidth", "X", 0.01, "relative width of the spectrum (FWHM of a Gaussian)")
    group.add_argument(
        "--spectrum",
        metavar="SHAPE",
        default="tophat",
        help="tophat, gaussian, or a file of two columns: eV, photons",
    )
    _number(group, "--divergence", "MRAD", 1.0, "divergence, FWHM, mrad")
    _number(group, "--polarisation", "X", 1.0, "share of the beam polarised along x")
    _number(group, "--beam-spread", "X", 0.05, "scatter of the flux's logarithm between frames")
    _number(group, "--energy-spread", "X", 0.0, "relative scatter of the photon energy")


def _add_background(parser: RankParser) -> None:
    group = parser.add_argument_group("background")
    _number(group, "--background", "B", None, "mean photons per pixel: scales all of it")
    _number(group, "--water", "UM", 100.0, "thickness of water, micrometres")
    group.add_argument(
        "--material",
        metavar="NAME=UM",
        type=_material,
        action="append",
        help="further material and its thickness: buffer, lcp, peg, oil or kapton; repeatable",
    )
    _number(group, "--air", "MM", 0.0, "path of the beam in air behind the sample, mm")
    group.add_argument(
        "--flight-in-air", action="store_true", help="air between sample and detector absorbs"
    )
    _number(group, "--jet-streak", "X", 0.0, "photons in a jet's streak over the round background")
    _number(group, "--background-spread", "X", 0.1, "scatter of the thickness's logarithm")


def _add_detector(parser: RankParser) -> None:
    group = parser.add_argument_group("detector")
    group.add_argument(
        "--detector",
        metavar="NAME",
        type=_detector_name,
        default="Eiger4M",
        help=f"one of {', '.join(DETECTORS)}; or a geometry file (.geom)",
    )
    _number(group, "--camera-length", "M", 0.15, "camera length in m")
    group.add_argument(
        "--beam-centre",
        metavar="FS,SS",
        type=_pair,
        help="where the direct beam meets the detector, px (default: where its geometry has it)",
    )
    _number(group, "--centre-spread", "PX", 0.0, "scatter of that between frames, px")
    _number(group, "--beam-stop", "PX", 0.0, "radius of the beam stop's shadow, px")
    _number(group, "--beam-stop-arm", "PX", 0.0, "width of the shadow of its holder, px")
    _number(group, "--dead-pixels", "X", 1e-4, "share of dead pixels, which the mask names")
    _number(group, "--flat-field", "X", 0.01, "scatter of the pixels' efficiencies")
    _number(group, "--charge-sharing", "X", 0.0, "share of photons counted by two pixels")
    _number(group, "--cosmics", "N", 0.0, "mean tracks of cosmic rays in a frame")
    for flag, text in (
        ("--hot-pixels", "pixels that count by themselves"),
        ("--twinkling-pixels", "pixels that do so at times"),
    ):
        group.add_argument(flag, metavar="N", type=int, default=0, help=text)


def _add_negatives(parser: RankParser) -> None:
    group = parser.add_argument_group("what is no crystal of interest (shares of all frames)")
    _number(group, "--ice-rings", "X", 0.0, "frames with smooth rings of ice")
    _number(group, "--ice-spots", "X", 0.0, "frames with spots on the rings of ice")
    _number(group, "--salt", "X", 0.0, "frames with strong spots of salt")
    _number(group, "--peg", "X", 0.0, "frames with spotty rings of precipitant")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is no number to compute with")
    return value


def _material(text: str) -> tuple[str, float]:
    name, _, size = text.partition("=")
    try:
        return name, float(size)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected a material and its thickness in micrometres, as kapton=25"
        ) from None


def _pair(text: str) -> tuple[float, float]:
    try:
        fs, ss = (_finite(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected two numbers, as 1034,1081") from None
    return fs, ss


def _detector_name(text: str) -> str:
    if text not in DETECTORS and not text.endswith(".geom"):
        known = ", ".join(DETECTORS)
        raise argparse.ArgumentTypeError(
            f"{text!r} is unknown: expected one of {known}, or a .geom file"
        )
    return text
