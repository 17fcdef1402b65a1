"""The parser of command lines that many ranks are given at once."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from cxlsfind.parallel.launch import is_first_of_node


class RankParser(argparse.ArgumentParser):
    """A parser that speaks once per machine, and tersely.

    Parameters
    ----------
    place
        Where the arguments come from, for messages; empty for the command line.
    """

    place = ""

    def error(self, message: str) -> NoReturn:
        """End with code 2 after saying what is wrong, without the usage of all options."""
        where = f"{self.place}: " if self.place else ""
        self.exit(2, f"{self.prog}: {where}{message}\n({self.prog} --help lists all options)\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        # Everything goes through here: help, version and errors.
        if is_first_of_node():
            super()._print_message(message, file)
