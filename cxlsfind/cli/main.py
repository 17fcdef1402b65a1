"""``cxlsfind``: the main job."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cxlsfind.cli.arguments import read_arguments
from cxlsfind.parallel.signals import stop_requests
from cxlsfind.parallel.threads import limit_threads


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``cxlsfind`` with these arguments (default: the command line's); return its exit code."""
    with stop_requests() as stop:
        config = read_arguments(sys.argv[1:] if argv is None else list(argv))
        limit_threads(config.threads)
        # Parsing alone stays quick: numba, h5py and MPI are loaded only by a run.
        from cxlsfind.parallel.runner import run

        return run(config, stop)
