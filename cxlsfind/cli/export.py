"""``cxlsfind-export``: from a checkpoint to a file that ``cxlsfind`` can use."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cxlsfind import __version__
from cxlsfind.errors import CxlsfindError


def main(argv: Sequence[str] | None = None) -> int:
    """Export a model; return the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        _export(arguments)
    except CxlsfindError as error:
        sys.stderr.write(f"cxlsfind-export: {error}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"cxlsfind-export: {arguments.output}: {error}\n")
        return 3
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cxlsfind-export",
        description="Compile a trained model to TorchScript, measure how often it is wrong by "
        "chance, and write both to one file, with a card that says what the model is for. The "
        "file is loaded again and must give what the model gives.",
        allow_abbrev=False,
    )
    option = parser.add_argument
    option("--version", action="version", version=f"cxlsfind {__version__}")
    option("folder", metavar="DIR", type=Path, help="what cxlsfind-train wrote")
    option("-o", dest="output", metavar="FILE", type=Path, required=True, help="file to write")
    option(
        "--patches",
        metavar="N",
        type=int,
        default=16000,
        help="simulated spots that a peak model's limit is set with (default 16000)",
    )
    option(
        "--frames",
        metavar="N",
        type=int,
        default=512,
        help="simulated frames that a hit model's limit is set with (default 512)",
    )
    option("--command", metavar="TEXT", default="", help="command that made it, for the card")
    return parser


def _export(arguments: argparse.Namespace) -> None:
    # PyTorch is loaded only by an export, so that --help stays quick.
    from cxlsfind.training.export import export_checkpoint

    card, worst = export_checkpoint(
        arguments.folder,
        arguments.output,
        arguments.command,
        n_patches=arguments.patches,
        n_frames=arguments.frames,
    )
    size = arguments.output.stat().st_size / 1e6
    sys.stdout.write(
        f"{arguments.output}: task {card.task}, {size:.2f} MB, "
        f"outputs after loading differ by at most {worst:.1e}\n"
    )
