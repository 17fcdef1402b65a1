"""Whatever the text, the parser either reads it or raises a GeometryError."""

from __future__ import annotations

import contextlib
import json
import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cxlsfind.errors import GeometryError
from cxlsfind.geometry.crystfel import parse_geometry
from cxlsfind.geometry.obstacles import geometry_obstacles
from cxlsfind.geometry.summary import geometry_summary
from cxlsfind.geometry.write import write_geometry

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "geometry"
VALUES = [
    *("0", "1", "-1", "9", "100", "-5.5", "1e400", "-1e400", "nan", "inf", "0x1f", "1_0", "1e"),
    *("2147483648", "-2147483649", "4294967296", "99999999999999999999", "abc", "true", "5cm"),
    *("5\tm", "2 mm", "/a", "/a m", "/%", "%%", "%", "x", "-y", "1e-3x", "z", "ss", "fs", "-2"),
    *("p0", "p0,p1", "all", "auto", "cxi", "=", ";", "", "+", "-", ".", "\0", "\xff", "\udcff"),
]
KEYS = [
    *("photon_energy", "wavelength", "electron_voltage", "clen", "bandwidth", "detector_shift_x"),
    *("detector_shift_y", "peak_list", "peak_list_type", "rigid_group", "group_a", "group_all"),
    *("min_fs", "max_fs", "min_ss", "max_ss", "corner_x", "corner_y", "coffset", "fs", "ss", "res"),
    *("adu_per_photon", "adu_per_eV", "max_adu", "data", "dim0", "dim1", "dim2", "dim15", "dim-1"),
    *("dim", "no_index", "mask_edge_pixels", "flag_equal", "mask", "mask_file", "mask_good"),
    *("mask1_data", "mask9_file", "mask2_badbits", "panel", "min_x", "max_y", "saturation_map"),
]
CHARACTERS = "abxyz019 .;=/%#,+-_\t\r\n\0\x0b\xff[]\udc80\u2028\u0663"


def mutate(rng: random.Random, text: str) -> str:
    lines = text.split("\n")
    for _ in range(rng.choice((1, 1, 2, 3, 5))):
        here, there = rng.randrange(len(lines)), rng.randrange(len(lines))
        key, _, value = lines[here].partition("=")
        match rng.randrange(6):
            case 0:
                del lines[here : here + rng.choice((1, 1, 1, 5))]
            case 1:
                lines[here], lines[there] = lines[there], lines[here]
            case 2:
                lines[here] = f"{key}= {rng.choice(VALUES)}"
            case 3:
                name = rng.choice(("", "p0/", "a/", "bad1/", key.partition("/")[0] + "/"))
                lines.insert(there, f"{name}{rng.choice(KEYS)} = {rng.choice(VALUES)}")
            case 4:
                lines[here] = f"{key.partition('/')[0]}/{rng.choice(KEYS)} ={value}"
            case _:
                at = rng.randrange(len(lines[here]) + 1)
                noise = rng.choice(CHARACTERS) * rng.choice((0, 1, 1, 1, 2000))
                lines[here] = lines[here][:at] + noise + lines[here][at + rng.randrange(2) :]
        lines = lines or [""]
    return "\n".join(lines)


def exercise(text: str) -> bool:
    """Read a text; whatever is read can be described, checked, written, and read again."""
    geometry = parse_geometry(text, file="a.geom")
    json.dumps(geometry_summary(geometry, "a.geom"), allow_nan=False)
    geometry_obstacles(geometry)
    again = parse_geometry(write_geometry(geometry), file="b.geom")
    return len(again.panels) == len(geometry.panels)


def test_ten_thousand_mutants() -> None:
    """Random edits never lead to another exception, and enough of them are still readable."""
    rng = random.Random(20240501)
    files = sorted(path for path in GOLDEN.glob("*.geom") if not path.name.startswith("refused"))
    texts = [path.read_bytes().decode("utf-8", "surrogateescape") for path in files]
    accepted = 0
    for _ in range(10_000):
        with contextlib.suppress(GeometryError):
            accepted += exercise(mutate(rng, rng.choice(texts)))
    assert 1_000 < accepted < 9_000


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    """Texts without any structure."""
    with contextlib.suppress(GeometryError):
        exercise(text)


@given(
    st.lists(
        st.tuples(st.sampled_from(["", "p/", "bad/"]), st.sampled_from(KEYS), st.text(max_size=12)),
        max_size=12,
    )
)
def test_any_values(lines: list[tuple[str, str, str]]) -> None:
    """Known keys with any value, in a file that is otherwise good."""
    good = (
        "photon_energy = 1\nclen = 1\nres = 1\nadu_per_photon = 1\np/min_fs = 0\np/max_fs = 1\n"
        "p/min_ss = 0\np/max_ss = 1\np/corner_x = 0\np/corner_y = 0\np/fs = x\np/ss = y\n"
    )
    with contextlib.suppress(GeometryError):
        exercise(good + "\n".join(f"{scope}{key} = {value}" for scope, key, value in lines))


def test_long_numbers() -> None:
    """A hundred thousand digits are read or refused, not a reason to fail."""
    good = "photon_energy = 1\nclen = 1\nres = 1\nadu_per_photon = 1\n"
    for digits in ("9" * 100_000, "0x" + "f" * 100_000, "1e" + "9" * 100_000):
        for key in KEYS:
            with contextlib.suppress(GeometryError):
                exercise(f"{good}p/{key} = {digits}\n{key} = {digits}\nbad/{key} = {digits}\n")
        with contextlib.suppress(GeometryError):
            exercise(f"{good}p/dim{digits} = {digits}\np/mask{digits}_data = {digits}\n")


def test_thousands_of_panels() -> None:
    """A file may have any number of panels."""
    ranges = ("min_fs=0", "max_fs=1", "min_ss=0", "max_ss=1")
    keys = (*ranges, "fs=x", "ss=y", "corner_x=0", "corner_y=0")
    text = "photon_energy = 1\nclen = 1\nres = 1\nadu_per_photon = 1\n"
    text += "".join(f"q{number}/{key}\n" for number in range(3000) for key in keys)
    assert exercise(text)
