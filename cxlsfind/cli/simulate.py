"""``cxlsfind-simulate``: a simulated run with known truth."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cxlsfind import __version__
from cxlsfind.errors import CxlsfindError, UsageError
from cxlsfind.sim.detector import DETECTORS
from cxlsfind.sim.frames import FrameSettings


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate a run; return the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        _simulate(arguments)
    except CxlsfindError as error:
        sys.stderr.write(f"cxlsfind-simulate: {error}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"cxlsfind-simulate: {arguments.output}: {error}\n")
        return 3
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cxlsfind-simulate",
        description="Simulate a run of an EIGER2 detector as the Dectris file writer leaves it: "
        "a water ring, round spots on some of the frames, gaps and dead pixels, and the truth.",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    option = parser.add_argument
    option("--version", action="version", version=f"cxlsfind {__version__}")
    option("-o", dest="output", metavar="DIR", type=Path, required=True, help="directory to write")
    option("-n", dest="frames", metavar="N", type=int, default=100, help="number of frames")
    option("--detector", choices=sorted(DETECTORS), default="Eiger4M", help="detector")
    option("--background", metavar="B", type=float, default=0.03, help="mean photons per pixel")
    option("--spots", metavar="N", type=float, default=40, help="mean number of spots of a hit")
    option("--photons", metavar="N", type=float, default=100, help="mean photons per spot")
    option("--hit-fraction", metavar="X", type=float, default=0.5, help="share of hits")
    option("--lattice", action="store_true", help="put the spots on a lattice")
    option(
        "--frames-per-file",
        metavar="N",
        type=int,
        default=1000,
        help="images per data file; 0 puts all into the master file",
    )
    option("--photon-energy", metavar="EV", type=float, default=7000, help="photon energy in eV")
    option("--camera-length", metavar="M", type=float, default=0.15, help="camera length in m")
    option("--seed", metavar="N", type=int, default=0, help="a run is settled by its seed")
    return parser


def _simulate(arguments: argparse.Namespace) -> None:
    for flag, value, least in (
        ("-n", arguments.frames, 1),
        ("--seed", arguments.seed, 0),
        ("--frames-per-file", arguments.frames_per_file, 0),
    ):
        if value < least:
            message = f"{flag} is {value}: give {least} or more"
            raise UsageError(message)
    settings = FrameSettings(
        detector=DETECTORS[arguments.detector],
        background=arguments.background,
        spots=arguments.spots,
        photons=arguments.photons,
        hit_fraction=arguments.hit_fraction,
        on_lattice=arguments.lattice,
        photon_energy_ev=arguments.photon_energy,
        clen_m=arguments.camera_length,
        seed=arguments.seed,
    )
    # h5py is loaded only by a simulation, so that --help stays quick.
    from cxlsfind.sim.run import simulate_run

    run = simulate_run(
        arguments.output, settings, arguments.frames, frames_per_file=arguments.frames_per_file
    )
    sys.stdout.write(f"{arguments.frames} frames: {run.files.master}\ntruth: {run.truth}\n")
    sys.stdout.write(f"next: cxlsfind -i {run.list} -g {run.geometry} -o hits.stream\n")
