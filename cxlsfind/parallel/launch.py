"""Find out whether mpirun started this process, and whether its ranks found each other."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping

from cxlsfind.errors import InputError
from cxlsfind.parallel.comm import Comm, SerialComm

#: Environment variables in which launchers tell how many ranks they started:
#: Hydra (MPICH, Intel MPI, MVAPICH), Open MPI, Slurm's srun.
_SIZE_VARIABLES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
_NODE_RANK_VARIABLES = ("MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID")
_RANK_VARIABLES = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")


class LaunchError(InputError):
    """The ranks that a launcher started cannot work together.

    Parameters
    ----------
    is_first
        Whether this process is the one that should tell the user.
    """

    def __init__(self, message: str, *, is_first: bool) -> None:
        self.is_first = is_first
        super().__init__(message)


def launched_ranks(environment: Mapping[str, str]) -> int:
    """Return how many ranks the launcher says it started; 1 without a launcher."""
    return max(
        (int(environment[name]) for name in _SIZE_VARIABLES if environment.get(name, "").isdigit()),
        default=1,
    )


def launched_rank(environment: Mapping[str, str]) -> int:
    """Return the number that the launcher gave this process; 0 without a launcher."""
    for name in _RANK_VARIABLES:
        if environment.get(name, "").isdigit():
            return int(environment[name])
    return 0


def is_first_of_node(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process speaks for its machine before the ranks know each other."""
    if launched_ranks(environment) == 1:
        return True
    numbers = (environment[name] for name in _NODE_RANK_VARIABLES if name in environment)
    return next(numbers, "0") == "0"


def connect(environment: Mapping[str, str] = os.environ) -> Comm:
    """Join the other ranks; without a launcher no MPI library is touched.

    Raises
    ------
    LaunchError
        There is no MPI library, or the launcher belongs to another one, so that every rank
        would be alone and all would write the same outputs.
    """
    expected = launched_ranks(environment)
    if expected == 1:
        return SerialComm()
    is_first = launched_rank(environment) == 0
    try:
        with warnings.catch_warnings():
            # mpi4py suspects a mismatch aloud on every rank; what we say below is said once.
            warnings.simplefilter("ignore", RuntimeWarning)
            from cxlsfind.parallel.mpi import MpiComm
    except (ImportError, RuntimeError) as error:
        raise LaunchError(
            f"{expected} ranks were started, but mpi4py finds no MPI library "
            f"({' '.join(str(error).split())}). Install "
            "mpi4py beside the site's MPI, or mpi4py and mpich from PyPI; or start cxlsfind "
            "without mpirun and use -j for threads",
            is_first=is_first,
        ) from error
    comm = MpiComm()
    if comm.size != expected:
        raise LaunchError(
            f"{expected} ranks were started, but each sees {comm.size}: mpirun and the MPI library "
            f"of mpi4py ({comm.library}) are of different families. Use the mpirun of that "
            "library, or install mpi4py for the library of this mpirun "
            "(python -m mpi4py --version tells which one it is)",
            is_first=is_first,
        )
    return comm
