"""``cxlsfind-evaluate``: how good models are, as tables, figures and one page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cxlsfind import __version__
from cxlsfind.errors import CxlsfindError


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate; return the exit code."""
    arguments = vars(_parser().parse_args(argv))
    try:
        _evaluate(arguments)
    except CxlsfindError as error:
        sys.stderr.write(f"cxlsfind-evaluate: {error}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"cxlsfind-evaluate: {arguments['output']}: {error}\n")
        return 3
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cxlsfind-evaluate",
        description="Score trained models on data that share nothing with their training: photon "
        "efficiency against the physical limit, recall and false peaks by brightness and "
        "background, hits and the limits of what can be known, confusion, reliability, and the "
        "paper's tables beside the paper's numbers. Tables are printed; a page with all figures "
        "is written.",
        allow_abbrev=False,
    )
    option = parser.add_argument
    option("--version", action="version", version=f"cxlsfind {__version__}")
    option("folders", metavar="DIR", type=Path, nargs="*", help="what cxlsfind-train wrote")
    option("-o", dest="output", metavar="DIR", type=Path, required=True, help="where it is written")
    option("--tree", metavar="DIR", type=Path, help="images, for the paper's models")
    option("--split", metavar="FILE", type=Path, help="which of them are for test (default: all)")
    option("--candidates", metavar="N", type=int, help="candidates to score on (default 20000)")
    option("--frames", metavar="N", type=int, help="whole frames of each kind (default 256)")
    option(
        "--profiles",
        metavar="N",
        type=int,
        help="score photon energy, camera length and beam centre on N backgrounds of each kind "
        "(default 0)",
    )
    option("--precision", metavar="X", type=float, help="times the usual draws (default 1)")
    option("--seed", metavar="N", type=int, help="of those backgrounds (default 0)")
    option("--threads", metavar="N", type=int, help="cores to use (default 1)")
    return parser


def _evaluate(arguments: dict[str, object]) -> None:
    # PyTorch and matplotlib are loaded only by an evaluation, so that --help stays quick.
    from cxlsfind.training.evaluation import EvaluationOptions, run_evaluation

    given = {name: value for name, value in arguments.items() if value is not None}
    given["folders"] = tuple(given["folders"])  # type: ignore[arg-type]
    page = run_evaluation(EvaluationOptions(**given), _say)  # type: ignore[arg-type]
    sys.stdout.write(f"page: {page}\n")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
