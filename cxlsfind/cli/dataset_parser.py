"""The options of ``cxlsfind-dataset``."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cxlsfind import __version__
from cxlsfind.cli.parser import RankParser
from cxlsfind.datasets.conditions import TABLE_CLENS_M, TABLE_ENERGIES_EV, Range, Value
from cxlsfind.datasets.naming import BRANCHES, OVERLAY
from cxlsfind.datasets.selection import Interval, parse_datasets
from cxlsfind.errors import UsageError
from cxlsfind.sim.detector import DETECTORS

_T = TypeVar("_T")

_MAIN = """\
Make and manage data sets of diffraction images for training: a tree of folders
images/{peaks,labels,peaks_water_overlay,water}/NN with one HDF5 file per frame and branch."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; ``command`` names the one that was given."""
    parser = RankParser(
        prog="cxlsfind-dataset",
        description=_MAIN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"cxlsfind {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, allow_abbrev=False)

    _add_make(command("make", "simulate a tree: patterns, frames without a crystal, labels"))
    tree = _add_tree
    overlay = tree(command("overlay", "add images of peaks and of water"))
    labels = tree(command("labels", "label spots, from expected photons where they are known"))
    empties = tree(command("empties", "add frames without a crystal"))
    attributes = tree(command("attributes", "set clen, photon_energy and peak where missing"))
    check = tree(command("check", "list all that is wrong with a tree; exit status 3 if any"))
    select = tree(command("select", "list the images of data sets and conditions"))
    counts = tree(command("counts", "count frames, and give the weight of the classes"))
    split = tree(command("split", "divide frames into training and test, sharing nothing"))
    tree(command("manifest", "write the hashes of all files"))
    tree(command("verify", "compare all files with their hashes; exit status 3 if any differs"))
    for changing in (overlay, labels, empties, attributes):
        _add_ask(changing)
    for busy in (overlay, labels, empties, check):
        _add_processes(busy)
    for remaking in (overlay, labels):
        remaking.add_argument("--overwrite", action="store_true", help="also those that exist")
    for choosing in (select, counts, split):
        _add_selection(choosing)
    for choosing in (overlay, labels, attributes):
        choosing.add_argument("--datasets", metavar="LIST", type=_datasets, help="only 01,03-05")
    labels.add_argument(
        "--threshold",
        metavar="N",
        type=_positive,
        help="label pixels that hold so many photons, noise included (not where the spots are)",
    )
    empties.add_argument(
        "percent",
        metavar="PERCENT",
        type=_not_negative,
        help="of the frames with a crystal: 50 makes 150 frames of 100",
    )
    attributes.add_argument("--set-photon-energy", metavar="EV", type=_positive, help="in eV")
    attributes.add_argument("--set-camera-length", metavar="M", type=_positive, help="in m")
    check.add_argument("--patterns", metavar="N", type=_count, help="expected in each data set")
    check.add_argument("--empties", metavar="N", type=_count, help="expected in each data set")
    _add_listing(select)
    _add_split(split)
    return parser


def _add_tree(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("tree", metavar="TREE", type=Path, help="folder with the branches")
    return parser


def _add_ask(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ask", action="store_true", help="ask before anything is written")


def _add_processes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-j", dest="processes", metavar="N", type=_one_or_more, help="processes (default: cores)"
    )


def _add_make(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument
    option("-o", "--output", metavar="TREE", type=Path, required=True, help="folder to make")
    option(
        "-n",
        "--patterns",
        metavar="N",
        type=_one_or_more,
        default=100,
        help="frames with a crystal in each data set (default: %(default)s)",
    )
    option(
        "--empties",
        metavar="PERCENT",
        type=_not_negative,
        default=50.0,
        help="frames without, in percent of those with one (default: %(default)g)",
    )
    option(
        "--photon-energy",
        metavar="EV",
        type=_list_of(_value),
        default=TABLE_ENERGIES_EV,
        help="energies such as 6000,7000,8000 (the default), one data set each; LOW:HIGH draws one "
        "for each frame",
    )
    option(
        "--camera-length",
        metavar="M",
        type=_list_of(_value),
        default=TABLE_CLENS_M,
        help="in m, likewise (default: 0.15,0.25,0.35)",
    )
    option("--photons", metavar="N", type=_list_of(_flux), default=(3e8,), help=_PHOTONS)
    option("--crystal", metavar="NAME", type=_names, default=("proteinase_k",), help=_CRYSTAL)
    option("--detector", metavar="NAME", default="Eiger4M", help=_DETECTOR)
    option("--set", metavar="NAME=VALUE", action="append", default=[], help=_SETTING)
    option("--seed", metavar="N", type=_count, default=0, help="default: %(default)s")
    _add_processes(parser)
    _add_ask(parser)


_DETECTOR = f"{', '.join(sorted(DETECTORS))}, or the geometry file of another (default: Eiger4M)"
_PHOTONS = "in the beam, in each frame, likewise; ranges are drawn evenly in the logarithm"
_CRYSTAL = "crystals, one data set each and condition (default: proteinase_k)"
_SETTING = "any other setting of the simulation, by its name; may be repeated"


def _add_selection(parser: argparse.ArgumentParser, prefix: str = "--") -> None:
    option = parser.add_argument
    what = "only" if prefix == "--" else "test with"
    option(f"{prefix}datasets", metavar="LIST", type=_datasets, help=f"{what} 01,03-05")
    option(
        f"{prefix}photon-energy",
        metavar="EV",
        type=_list_of(_interval),
        default=(),
        help=f"{what} these, in eV: 6000 or 6000:7000,8000",
    )
    option(
        f"{prefix}camera-length",
        metavar="M",
        type=_list_of(_interval),
        default=(),
        help=f"{what} these, in m: 0.15 or 0.1:0.2,0.35",
    )
    option(f"{prefix}crystal", metavar="NAME", type=_names, default=(), help=f"{what} these")


def _add_listing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--branch", choices=BRANCHES, default=OVERLAY, help="images to list (default: %(default)s)"
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--patterns", action="store_true", help="only frames with a crystal")
    only.add_argument("--empties", action="store_true", help="only frames without")
    parser.add_argument("--ask", action="store_true", help="ask which data sets")


def _add_split(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument
    option("-o", "--output", metavar="FILE", type=Path, required=True, help="JSON file to write")
    option(
        "--test",
        metavar="PERCENT",
        type=_percent,
        default=20.0,
        help="share of the test (default: %(default)g)",
    )
    option(
        "--by",
        metavar="LIST",
        type=_names,
        help="what train and test must not share: crystal,condition,seed (default: all of these "
        "that differ between frames at all)",
    )
    option("--seed", metavar="N", type=_count, default=0, help="of the draw (default: %(default)s)")
    _add_selection(parser, "--leave-out-")
    option(
        "--leave-out-seed",
        metavar="NAME",
        type=_names,
        default=(),
        help="test with frames whose background is of these seeds",
    )


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return value


def _checked(is_right: Callable[[float], bool], expected: str) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = _number(text)
        if not is_right(value):
            raise argparse.ArgumentTypeError(f"{text}: give {expected}")
        return value

    return read


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}: give a whole number from {least}")
        return int(text)

    return read


_positive = _checked(lambda value: value > 0, "a number above zero")
_not_negative = _checked(lambda value: value >= 0, "zero or more")
_percent = _checked(lambda value: 0 < value < 100, "a percentage above 0 and below 100")
_count = _whole(0)
_one_or_more = _whole(1)


def _interval(text: str) -> Interval:
    low, colon, high = text.partition(":")
    first = _positive(low)
    last = _positive(high) if colon else first
    if last < first:
        raise argparse.ArgumentTypeError(f"{text}: the first number is above the second")
    return first, last


def _list_of(read: Callable[[str], _T]) -> Callable[[str], tuple[_T, ...]]:
    return lambda text: tuple(read(part) for part in text.split(","))


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r}: give names with commas between them")
    return names


def _value(text: str) -> Value:
    low, high = _interval(text)
    return low if low == high else Range(low, high)


def _flux(text: str) -> Value:
    low, high = _interval(text)
    return low if low == high else Range(low, high, is_logarithmic=True)


def _datasets(text: str) -> frozenset[int]:
    try:
        return parse_datasets(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
