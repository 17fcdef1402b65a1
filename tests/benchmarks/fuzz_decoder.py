"""Throw damaged chunks at the decoder: it must neither crash nor believe what is not there.

All memory that the decoder may use lies between pages that the process must not touch, so that a
step beyond kills it. What it accepts is compared with a decoder that goes byte by byte. Every run
draws a fresh seed and prints it.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import mmap
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels.lz4 import SLACK
from cxlsfind.kernels.plane_decode import Elements, decode_planes
from cxlsfind.kernels.plane_pack import BadValues, PixelLists, Target
from cxlsfind.kernels.planes import words_of

TYPES = ("u1", "u2", "u4", "i1", "i2", "i4")
BLOCKS = (8, 64, 72, 512, 2048, 4096)
SIZES = (1, 7, 8, 63, 64, 200, 517, 1024, 4097)
_NO_VALUES = BadValues(np.zeros((0, 4), np.int64), np.zeros(0), np.zeros((0, 0), np.int64))


class Guarded:
    """Memory between two forbidden pages."""

    def __init__(self, n_pages: int) -> None:
        size = mmap.PAGESIZE
        self._n_bytes = n_pages * size
        self._memory = mmap.mmap(-1, self._n_bytes + 2 * size)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        for address in (base, base + size + self._n_bytes):
            if protect(ctypes.c_void_p(address), size, 0):
                raise OSError(ctypes.get_errno(), "mprotect failed")
        self._bytes = np.frombuffer(self._memory, np.uint8, self._n_bytes, size)

    def array(self, n: int, dtype: str, *, at_end: bool) -> npt.NDArray[Any]:
        """Return an array that begins at the first byte or ends at the last one."""
        n_bytes = n * np.dtype(dtype).itemsize
        start = self._n_bytes - n_bytes if at_end else 0
        return self._bytes[start : start + n_bytes].view(dtype)


class Bench:
    """Decodes chunks between guards."""

    def __init__(self) -> None:
        self._chunk, *self._rest = (Guarded(n) for n in (16, 8, 8, 8, 8, 8, 8))

    def decode(
        self,
        chunk: bytes,
        elements: Elements,
        usable: npt.NDArray[np.bool_],
        n_planes: int,
        *,
        at_end: bool,
    ) -> Target | None:
        """Return what the decoder made of a chunk; ``None`` if it was refused."""
        n, n_words = elements.number, -(-elements.number // 64)
        buffer = self._chunk.array(len(chunk) + SLACK, "u1", at_end=at_end)
        buffer[: len(chunk)] = np.frombuffer(chunk, np.uint8)
        words, planes, full, count, bad, censored = (
            guarded.array(length, dtype, at_end=at_end)
            for guarded, length, dtype in zip(
                self._rest,
                (n_words, n_planes * n_words, n, n, n, n),
                ("u8", "u8", "i4", "u4", "i4", "i4"),
                strict=True,
            )
        )
        words_of(usable, words)
        largest = 2 ** (8 * elements.item_bytes - elements.is_signed) - 1
        lists = PixelLists(full, count, bad, censored, np.zeros(4, np.int64))
        target = Target(words, largest, _NO_VALUES, planes.reshape(n_planes, n_words), lists)
        return target if decode_planes(buffer, len(chunk), elements, target) else None


def mutate(chunk: bytes, rng: np.random.Generator) -> bytes:
    """Return a chunk with some damage: changed, lost, doubled or moved bytes."""
    damaged = bytearray(chunk)
    for _ in range(int(rng.integers(1, 4))):
        kind, at = rng.integers(0, 7), int(rng.integers(0, len(damaged)))
        if kind == 0:
            damaged[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            damaged[at] = int(rng.integers(0, 256))
        elif kind == 2:
            damaged[at] = (0, 1, 15, 16, 240, 255)[int(rng.integers(0, 6))]
        elif kind == 3:
            at = min(at, 15) if rng.random() < 0.5 else at
            damaged[at : at + 4] = rng.bytes(4)
        elif kind == 4:
            del damaged[at : at + int(rng.integers(1, 20))]
        elif kind == 5:
            damaged[at:at] = damaged[at : at + int(rng.integers(1, 20))]
        else:
            other = int(rng.integers(0, len(damaged)))
            damaged[at : at + 8] = damaged[other : other + 8]
        if not damaged:
            break
    return bytes(damaged)


def check(target: Target, raw: npt.NDArray[Any], usable: npt.NDArray[np.bool_]) -> None:
    """Raise an error unless a result is that of these pixels."""
    good, lists, lengths = usable & (raw >= 0), target.lists, target.lists.lengths
    full = 2 ** len(target.planes) - 1
    clipped = np.where(good, np.minimum(raw.astype(np.int64), full), 0)
    bits = np.unpackbits(target.planes.view(np.uint8), axis=1, bitorder="little")
    made = (bits[:, : raw.size].astype(np.int64) << np.arange(len(bits))[:, None]).sum(axis=0)
    listed = np.flatnonzero(good & (raw.astype(np.int64) >= full))
    if (
        not np.array_equal(made, clipped)
        or bits[:, raw.size :].any()
        or lists.full[: lengths[0]].tolist() != listed.tolist()
        or lists.full_count[: lengths[0]].tolist() != raw[listed].tolist()
        or lists.bad[: lengths[1]].tolist() != np.flatnonzero(usable & (raw < 0)).tolist()
    ):
        raise AssertionError("a chunk was decoded to something else")


def fuzz(naive: ModuleType, seed: int, n_chunks: int) -> tuple[int, int]:
    """Decode damaged chunks; return how many were accepted, and refused.

    Parameters
    ----------
    naive
        The byte-by-byte decoder and the packer of ``tests/kernels/naive_lz4.py``.
    """
    rng = np.random.default_rng(seed)
    bench, n_accepted = Bench(), 0
    for number in range(n_chunks):
        if number % 100 == 0:
            dtype = np.dtype(str(rng.choice(TYPES)))
            raw = rng.poisson(rng.choice([0.05, 1.0]), rng.choice(SIZES)).astype(dtype)
            raw[rng.random(raw.size) < 0.02] = np.iinfo(dtype).max
            usable = rng.random(raw.size) < 0.9
            whole = naive.pack(raw, int(rng.choice(BLOCKS)), packed=bool(rng.random() < 0.8))
            elements = Elements(raw.size, dtype.itemsize, dtype.kind == "i")
            target = bench.decode(whole, elements, usable, 2, at_end=True)
            if target is None:
                raise AssertionError("a good chunk was refused")
            check(target, raw, usable)
        chunk = mutate(whole, rng)
        n_planes, at_end = int(rng.integers(2, 7)), bool(rng.random() < 0.5)
        target = bench.decode(chunk, elements, usable, n_planes, at_end=at_end)
        expected = naive.unpack(chunk, raw.size, dtype) if target is not None else None
        if target is not None:
            n_accepted += 1
            if expected is None:
                raise AssertionError(f"seed {seed}: chunk {number} should have been refused")
            check(target, expected, usable)
    return n_accepted, n_chunks - n_accepted


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    options = parser.parse_args(arguments)
    path = Path(__file__).parents[1] / "kernels" / "naive_lz4.py"
    spec = importlib.util.spec_from_file_location("naive_lz4", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    naive = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(naive)
    print(f"seed {options.seed}", flush=True)
    start, done, accepted, part = time.monotonic(), 0, 0, 20_000
    while done < options.chunks:
        n = min(part, options.chunks - done)
        accepted += fuzz(naive, options.seed + done, n)[0]
        done += n
        spent = time.monotonic() - start
        print(f"{done} chunks, {accepted} of them accepted and right, {spent:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
