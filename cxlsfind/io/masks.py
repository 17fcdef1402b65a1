"""Which pixels of the frames of a file can be used.

A pixel is usable if the geometry has it (:func:`cxlsfind.geometry.maps.static_usable`), no mask
array calls it bad, and neither does ``--mask``. Mask arrays are those that the geometry names;
where it names none, the pixel mask that a Dectris detector left in the data.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import InputError
from cxlsfind.geometry.layout import Layout
from cxlsfind.geometry.maps import static_usable
from cxlsfind.geometry.model import Geometry
from cxlsfind.io.files import FileCache
from cxlsfind.io.mask_files import BadValue, read_mask_file
from cxlsfind.io.mask_sources import BoolArray, MaskFinder, MaskSource, MaskUse
from cxlsfind.io.notes import Notes


class MaskStore:
    """The masks of a run, each held once however many files use it.

    Parameters
    ----------
    geometry, layout
        What the frames look like.
    files
        Opens the files.
    mask_file, mask_bad
        ``--mask`` and ``--mask-bad``; see :func:`cxlsfind.io.mask_files.read_mask_file`.

    Raises
    ------
    InputError
        ``mask_file`` cannot be used.
    """

    def __init__(
        self,
        geometry: Geometry,
        layout: Layout,
        files: FileCache,
        *,
        mask_file: str | None = None,
        mask_bad: BadValue = "nonzero",
    ) -> None:
        self._layout = layout
        self._notes = Notes()
        self._finder = MaskFinder(geometry, layout, files, self._notes)
        self._by_uses: dict[tuple[MaskUse, ...], int] = {}
        self._by_content: dict[bytes, int] = {}
        self._base = static_usable(geometry, layout)
        self._file_notes: tuple[str, ...] = ()
        #: Frame arrays, true for usable pixels, in the order in which they were first needed.
        self.arrays: list[BoolArray] = []
        if mask_file is not None:
            mask, note = read_mask_file(mask_file, layout, mask_bad)
            self._base = self._base & mask
            self._file_notes = (note,)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know: where masks came from, and what is odd about them."""
        return self._file_notes + self._notes.lines

    def add(
        self,
        file: str,
        parts: tuple[str, ...] = (),
        numbers: npt.NDArray[np.int64] | None = None,
    ) -> int:
        """Return the index in :attr:`arrays` of the mask of a file's frames.

        Parameters
        ----------
        file
            Name of the listed file.
        parts
            Path parts of the events: what fills the ``%`` of paths.
        numbers
            The ``%`` dimensions of the wanted frames, shape (frames, dimensions); only looked
            at for masks that have one array per frame. These are joined: a pixel that is bad
            in any of the frames is bad in all.

        Raises
        ------
        InputError
            A mask that the geometry names is not there or cannot be read, or no pixel is left.
        """
        uses = self._finder.find(file, parts, numbers)
        index = self._by_uses.get(uses)
        if index is None:
            usable = self._combine(uses, file)
            if not usable.any():
                raise InputError(
                    f"{file}: no usable pixel is left: the geometry, its masks and --mask together "
                    "exclude all; check the good and bad bits of the masks, and --mask-bad"
                )
            index = self._by_uses[uses] = self._store(usable)
        return index

    def _combine(self, uses: tuple[MaskUse, ...], file: str) -> BoolArray:
        usable: BoolArray = self._base.copy()
        planes: dict[MaskSource, BoolArray] = {}
        for use in uses:
            if use.source not in planes:
                planes[use.source] = self._finder.read(use.source)
            plane, slab = planes[use.source], self._layout.slabs[use.slab]
            if plane.shape != slab.shape:
                self._check_size(use, plane.shape, file)
            height, width = slab.shape
            target = usable[slab.offset : slab.offset + height * width].reshape(slab.shape)
            window = slice(*use.rows), slice(*use.columns)
            target[window] &= plane[window]
        return usable

    def _check_size(self, use: MaskUse, shape: tuple[int, ...], file: str) -> None:
        """Refuse a mask that does not cover its panel, and remark on one of another size."""
        data = self._layout.slabs[use.slab].shape
        message = f"the mask {use.source} has shape {shape}, the data array {data}"
        if shape[0] < use.rows[1] or shape[1] < use.columns[1]:
            hint = ": the mask is transposed" if shape == data[::-1] else ""
            raise InputError(f"{file}: {message}{hint}; it does not cover the panels")
        self._notes.add(file, f"{message}; pixels are matched from its first corner")

    def _store(self, usable: BoolArray) -> int:
        content = hashlib.sha256(np.packbits(usable).tobytes()).digest()
        index = self._by_content.setdefault(content, len(self.arrays))
        if index == len(self.arrays):
            usable.flags.writeable = False
            self.arrays.append(usable)
        return index
