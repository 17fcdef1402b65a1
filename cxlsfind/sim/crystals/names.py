"""Names of crystals that need no file; apart from their data, so that they are quickly told."""

from __future__ import annotations

from typing import Final

#: ``wilson`` takes its cell and symmetry from the user.
CRYSTAL_NAMES: Final = ("proteinase_k", "lysozyme", "pyp", "insulin", "wilson")
