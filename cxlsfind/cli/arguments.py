"""The options of ``cxlsfind``: command line over configuration file over defaults."""

from __future__ import annotations

import argparse
import math
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from cxlsfind import __version__
from cxlsfind.cli.parser import RankParser
from cxlsfind.cli.settings_file import file_arguments
from cxlsfind.config import DeviceChoice, PeakMethod, RunConfig

#: Options that do not change results; left out of the command line recorded in outputs, so that
#: outputs do not depend on how a run was spread out or restarted. The number is how many
#: arguments the option takes.
_NOT_RECORDED = {"-j": 1, "--overwrite": 0, "--device": 1}

#: What ``--no-models`` leaves in place of a folder; no folder has this name.
_NO_MODELS = ""

_NOT_YET = {
    "--resume": "start the run again with --overwrite",
    "--follow": "list the files that are complete; --wait-for-file waits for files to appear",
    "--copy-hits": "hits.cxi links to the frames of the hits without copying them",
    "--time-limit": "split the list of files",
}


def read_arguments(argv: Sequence[str]) -> RunConfig:
    """Return the run that a command line asks for.

    Raises
    ------
    SystemExit
        With code 2 and a message on standard error for a usage error; with code 0 after
        ``--help`` and ``--version``.
    """
    parser = build_parser()
    first = parser.parse_args(argv)
    arguments = first
    if first.config is not None:
        parser.place = first.config
        try:
            from_file = file_arguments(Path(first.config), parser)
        except ValueError as error:
            parser.error(str(error))
        parser.parse_args(from_file)
        parser.place = ""
        arguments = parser.parse_args([*from_file, *argv])
        if first.copy_header:
            arguments.copy_header = first.copy_header
    _check(arguments, parser)
    return RunConfig(
        command=_recorded_command(argv),
        input=arguments.input,
        geometry=arguments.geometry,
        output=Path(arguments.output),
        threads=arguments.threads,
        prefix=arguments.prefix,
        basename=arguments.basename,
        peaks=PeakMethod(arguments.peaks),
        false_peaks=arguments.false_peaks,
        max_peaks=arguments.max_peaks,
        hit_fpr=arguments.hit_fpr,
        pulses_per_frame=arguments.pulses_per_frame,
        threshold=arguments.threshold,
        min_snr=arguments.min_snr,
        min_pix_count=arguments.min_pix_count,
        max_pix_count=arguments.max_pix_count,
        local_bg_radius=arguments.local_bg_radius,
        min_res=arguments.min_res,
        max_res=arguments.max_res,
        min_peaks=arguments.min_peaks,
        copy_header=tuple(arguments.copy_header or ()),
        serial_start=arguments.serial_start,
        non_hits_in_stream=not arguments.no_non_hits_in_stream,
        wait_for_file=arguments.wait_for_file,
        mask=arguments.mask,
        mask_bad=arguments.mask_bad,
        channel=arguments.channel,
        photon_energy_ev=arguments.photon_energy,
        camera_length_m=arguments.camera_length,
        models=arguments.models or None,
        use_models=arguments.models != _NO_MODELS,
        device=arguments.device,
        max_skipped=arguments.max_skipped,
        overwrite=arguments.overwrite,
    )


def build_parser() -> RankParser:
    """Return the parser of the main job's command line."""
    parser = RankParser(
        prog="cxlsfind",
        description="Find the frames of a serial-crystallography run that hold Bragg spots, find "
        "the spots, and hand both to CrystFEL.",
        epilog="Options have CrystFEL's names and meanings wherever CrystFEL has the option.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"cxlsfind {__version__}")
    _add_run_options(parser.add_argument_group("run"))
    _add_data_options(parser.add_argument_group("data"))
    _add_finder_options(parser.add_argument_group("peaks and hits"))
    _add_model_options(parser.add_argument_group("models"))
    _add_output_options(parser.add_argument_group("outputs"))
    for option in _NOT_YET:
        parser.add_argument(option, nargs="?", const="", action=_NotYet, help=argparse.SUPPRESS)
    return parser


class _NotYet(argparse.Action):
    """Refuse an option of a later version, naming what to do instead."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        parser.error(
            f"{option_string} is not available in cxlsfind {__version__}; instead, "
            f"{_NOT_YET[str(option_string)]}"
        )


def _add_run_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-i",
        "--input",
        metavar="FILE",
        help="list of files ('name' or 'name event' in each line), one HDF5 file, or '-' for a "
        "list on standard input",
    )
    group.add_argument(
        "-g",
        "--geometry",
        metavar="NAME",
        help="CrystFEL geometry: a file, or the name of one that comes with cxlsfind "
        "(Eiger4M.geom)",
    )
    group.add_argument("-o", "--output", metavar="STREAM", help="stream to write")
    group.add_argument(
        "-j", dest="threads", metavar="N", type=_at_least(1), default=1, help="threads per rank"
    )
    group.add_argument(
        "--config", metavar="TOML", help="file with any of these options as keys; flags win"
    )
    group.add_argument(
        "--max-skipped",
        metavar="N",
        type=_at_least(0),
        default=0,
        help="exit with 4 when more frames than this could not be read (default 0)",
    )


def _add_data_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--prefix", metavar="TEXT", default="", help="put this before every name in the list"
    )
    group.add_argument(
        "--basename", action="store_true", help="first strip directories from names in the list"
    )
    group.add_argument(
        "--wait-for-file",
        metavar="S",
        type=_seconds,
        default=0.0,
        help="wait up to S seconds for listed files to appear (-1: for ever)",
    )
    group.add_argument(
        "--channel",
        metavar="C",
        help="threshold channel, number or name, where the detector wrote several (default: first)",
    )
    group.add_argument(
        "--mask",
        metavar="FILE",
        help="further mask: npy, tif, edf, cbf or h5 (FILE.h5:/path for one of several)",
    )
    group.add_argument(
        "--mask-bad",
        choices=("0", "1", "nonzero"),
        default="nonzero",
        help="value of --mask that means a bad pixel (default: nonzero)",
    )
    group.add_argument(
        "--photon-energy",
        metavar="EV",
        type=_positive,
        help="photon energy in eV, over all else",
    )
    group.add_argument(
        "--camera-length", metavar="M", type=_positive, help="camera length in m, over all else"
    )


def _add_finder_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--peaks",
        choices=[str(method) for method in PeakMethod],
        default=str(PeakMethod.POISSON),
        help="peak finder: the Poisson likelihood ratio (default), or CrystFEL's peakfinder8",
    )
    group.add_argument(
        "--false-peaks",
        metavar="X",
        type=_positive,
        default=1.0,
        help="poisson: false peaks expected per frame, over the whole detector (default 1)",
    )
    group.add_argument(
        "--max-peaks",
        metavar="N",
        type=_at_least(1),
        default=500,
        help="poisson: most peaks of a frame; the most significant ones are kept (default 500)",
    )
    group.add_argument(
        "--hit-fpr",
        metavar="P",
        type=_share,
        default=1e-3,
        help="poisson: share of blank frames that may be called hits (default 0.001)",
    )
    group.add_argument(
        "--pulses-per-frame",
        metavar="N",
        type=_at_least(1),
        default=1000,
        help="poisson: X-ray pulses in a frame; a pixel counts one photon per pulse at most "
        "(default 1000)",
    )
    group.add_argument(
        "--threshold",
        metavar="ADU",
        type=_number,
        help="peakfinder8: smallest value of a peak's pixels; no default, since CrystFEL's 800 "
        "finds nothing in photon counts",
    )
    group.add_argument(
        "--min-snr", metavar="X", type=_number, default=5.0, help="peakfinder8 (default 5)"
    )
    group.add_argument(
        "--min-pix-count",
        metavar="N",
        type=_at_least(1),
        default=2,
        help="peakfinder8: fewest pixels of a peak (default 2)",
    )
    group.add_argument(
        "--max-pix-count",
        metavar="N",
        type=_at_least(1),
        default=200,
        help="peakfinder8: most pixels of a peak (default 200)",
    )
    group.add_argument(
        "--local-bg-radius",
        metavar="N",
        type=_at_least(1),
        default=3,
        help="peakfinder8: radius of the local background in pixels (default 3)",
    )
    group.add_argument(
        "--min-res",
        metavar="PX",
        type=_number,
        default=0.0,
        help="peakfinder8: ignore pixels nearer to the beam (default 0: none)",
    )
    group.add_argument(
        "--max-res",
        metavar="PX",
        type=_number,
        default=0.0,
        help="peakfinder8: ignore pixels farther from the beam (default 0: none)",
    )
    group.add_argument(
        "--min-peaks",
        metavar="N",
        type=_at_least(0),
        help="peaks that make a frame a hit (default: peakfinder8 5; poisson decides by --hit-fpr)",
    )


def _add_model_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--models",
        metavar="DIR",
        type=_folder,
        help="poisson: folder of models (peak.pt, hit.pt) that judge what the statistics find, or "
        "'artefacts': the peak model that comes with cxlsfind; refused where they do not fit the "
        "data (default: none)",
    )
    group.add_argument(
        "--no-models",
        dest="models",
        action="store_const",
        const=_NO_MODELS,
        help="use no models: counting statistics alone",
    )
    group.add_argument(
        "--device",
        choices=get_args(DeviceChoice),
        default="auto",
        help="where models compute: on a GPU where there is one (default), or as told",
    )


def _add_output_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--copy-header",
        metavar="PATH",
        action="append",
        help="copy this value from the data into the stream; may be given again",
    )
    group.add_argument(
        "--serial-start",
        metavar="N",
        type=_at_least(0),
        default=1,
        help="serial number of the first frame (default 1)",
    )
    group.add_argument(
        "--no-non-hits-in-stream", action="store_true", help="leave non-hits out of the stream"
    )
    group.add_argument("--overwrite", action="store_true", help="replace existing outputs")


def _check(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    missing = [
        flag
        for flag, value in (
            ("-i", arguments.input),
            ("-g", arguments.geometry),
            ("-o", arguments.output),
        )
        if value is None
    ]
    if missing:
        parser.error(f"missing: {', '.join(missing)}")
    if arguments.output.endswith("/") or not Path(arguments.output).name:
        parser.error(f"-o {arguments.output}: expected the name of a stream, such as hits.stream")
    if {"\n", "\r"} & set(arguments.output):
        parser.error(f"-o {arguments.output!r}: a line break cannot stand in a list of files")
    is_peakfinder8 = arguments.peaks == PeakMethod.PEAKFINDER8
    if arguments.threshold is None and is_peakfinder8:
        parser.error(
            "--peaks=peakfinder8 needs --threshold: CrystFEL's default of 800 finds nothing in "
            "photon counts. It is the smallest count of a peak's pixels; 5 suits a background "
            "below 0.1 photons per pixel"
        )
    if arguments.models and is_peakfinder8:
        parser.error(
            f"--models {arguments.models}: models judge what --peaks=poisson finds, and not "
            "--peaks=peakfinder8; leave one of the two out"
        )
    if arguments.min_pix_count > arguments.max_pix_count:
        parser.error(
            f"--min-pix-count={arguments.min_pix_count} is larger than "
            f"--max-pix-count={arguments.max_pix_count}"
        )


def _recorded_command(argv: Sequence[str]) -> str:
    kept: list[str] = []
    arguments = iter(argv)
    for argument in arguments:
        name = argument.split("=", 1)[0]
        if name in _NOT_RECORDED:
            for _ in range(_NOT_RECORDED[name] if "=" not in argument else 0):
                next(arguments, None)
        elif not (argument.startswith("-j") and argument[2:].lstrip("=").isdigit()):
            kept.append(argument)
    return shlex.join(["cxlsfind", *kept])


def _at_least(least: int) -> Callable[[str], int]:
    def integer(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is below {least}")
        return value

    return integer


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return value


def _positive(text: str) -> float:
    value = _number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above zero")
    return value


def _share(text: str) -> float:
    value = _number(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return value


def _folder(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("is empty; name a folder, or give --no-models")
    return text


def _seconds(text: str) -> float:
    value = _number(text)
    if value < 0 and value != -1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a time in seconds nor -1")
    return value
