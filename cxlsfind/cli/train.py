"""``cxlsfind-train``: train a model, ours or one of the paper's."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxlsfind import __version__
from cxlsfind.errors import CxlsfindError

if TYPE_CHECKING:
    from cxlsfind.training.sessions import Options

#: Names of the tasks; :mod:`cxlsfind.training.registry` has them too, and PyTorch with it.
TASKS = (
    "peak",
    "hit",
    "paper-binary",
    "paper-base",
    "paper-dual",
    "paper-energy",
    "paper-clen",
    "paper-heatmap",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Train; return the exit code."""
    arguments = vars(_parser().parse_args(argv))
    try:
        _train(arguments)
    except CxlsfindError as error:
        sys.stderr.write(f"cxlsfind-train: {error}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"cxlsfind-train: {arguments['folder']}: {error}\n")
        return 3
    except KeyboardInterrupt:
        sys.stderr.write("cxlsfind-train: stopped; go on with --resume\n")
        return 75
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cxlsfind-train",
        description="Train a model. 'peak' and 'hit' learn from what is simulated on the fly, "
        "the paper's models from a tree of images. One line of figures per epoch is printed and "
        "kept in metrics.csv; checkpoint.pt holds everything to go on.",
        allow_abbrev=False,
    )
    option = parser.add_argument
    option("--version", action="version", version=f"cxlsfind {__version__}")
    option("task", choices=TASKS, help="what to train")
    option("-o", dest="folder", metavar="DIR", type=Path, required=True, help="where it is kept")
    data = parser.add_argument_group("data").add_argument
    data("--candidates", metavar="N", type=int, help="candidates to train on (default 400000)")
    data("--frames", metavar="N", type=int, help="whole frames to train on (default 1024)")
    data(
        "--leave-out",
        dest="left_out",
        metavar="KIND",
        nargs="*",
        help="nuisances, or kinds of frames and salts, never trained on (default: glitch)",
    )
    data("--start", metavar="DIR", type=Path, help="start from the weights of this training")
    data("--mine", metavar="N", type=int, help="frames to look for what fools the model of --start")
    data("--peak", metavar="FILE", type=Path, help="peak model in front of a hit model")
    data("--tree", metavar="DIR", type=Path, help="images, as cxlsfind-dataset keeps them")
    data("--split", metavar="FILE", type=Path, help="which images are for training, which for test")
    data("--binning", metavar="N", type=int, help="sum images over N x N pixels (default 4)")
    how = parser.add_argument_group("training").add_argument
    how("--epochs", metavar="N", type=int, help="instead of the task's own")
    how("--batch-size", metavar="N", type=int, help="instead of the task's own")
    how("--optimiser", choices=("adam", "sgd"), help="instead of the task's own")
    how("--learning-rate", metavar="X", type=float, help="instead of the task's own")
    how(
        "--schedule",
        choices=("constant", "plateau", "cosine"),
        help="of the learning rate, instead of the task's own",
    )
    how("--seed", metavar="N", type=int, help="settles data, weights and order (default 0)")
    how("--resume", action="store_true", default=None, help="go on from the checkpoint in DIR")
    how("--device", choices=("auto", "cpu", "cuda"), help="default auto: a GPU if there is one")
    how("--threads", metavar="N", type=int, help="cores to use (default 1)")
    return parser


def _train(arguments: dict[str, object]) -> None:
    # PyTorch is loaded only by a training, so that --help stays quick.
    from cxlsfind.training.sessions import Options, run_training

    given = {name: value for name, value in arguments.items() if value is not None}
    if "left_out" in given:
        given["left_out"] = tuple(given["left_out"])  # type: ignore[arg-type]
    options = Options(**given)  # type: ignore[arg-type]
    run_training(options, _say)
    sys.stdout.write(f"next: {_next_command(options)}\n")


def _next_command(options: Options) -> str:
    if options.tree is not None:
        return f"cxlsfind-evaluate {options.folder} -o page --tree TREE, with frames of its own"
    return f"cxlsfind-export {options.folder} -o {options.task}.pt"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
