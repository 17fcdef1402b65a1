"""The grammar of geometry files: what each directive means, beyond what the golden files show."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from cxlsfind.errors import GeometryError
from cxlsfind.geometry.crystfel import parse_geometry, read_geometry
from cxlsfind.geometry.model import BadRegion, BeamKind, Flag, Geometry, Mask, Quantity

Parse = Callable[..., Geometry]


def refusal(text: str, *, need_beam: bool = True) -> GeometryError:
    with pytest.raises(GeometryError) as caught:
        parse_geometry(text, file="a.geom", need_beam=need_beam)
    return caught.value


def test_a_small_file(parse: Parse) -> None:
    """Everything that is not given has CrystFEL's default."""
    geometry = parse()
    assert geometry.file == "a.geom"
    assert geometry.text.startswith("photon_energy")
    assert geometry.beam_kind is BeamKind.PHOTON_ENERGY
    assert geometry.beam == Quantity(value=9000.0)
    assert geometry.clen == Quantity(value=0.1)
    assert (geometry.bandwidth, geometry.peak_list_type) == (1e-8, "auto")
    assert geometry.detector_shift is None
    assert geometry.peak_list is None
    assert geometry.warnings == ()
    (panel,) = geometry.panels
    assert (panel.name, panel.width, panel.height) == ("p0", 10, 20)
    assert (panel.corner_x, panel.corner_y, panel.coffset, panel.res) == (-5.0, -10.0, 0.0, 1e4)
    assert (panel.fs, panel.ss) == ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    assert (panel.adu_per_photon, panel.adu_per_ev, panel.max_adu) == (1.0, None, math.inf)
    assert (panel.data, panel.dims) == ("/data/data", ("ss", "fs"))
    assert (panel.no_index, panel.mask_edge_pixels, panel.flags, panel.masks) == (False, 0, (), ())
    assert (panel.saturation_map, panel.saturation_map_file) == (None, None)


@pytest.mark.parametrize(
    ("line", "kind", "beam"),
    [
        ("photon_energy = 9000", BeamKind.PHOTON_ENERGY, Quantity(9000.0)),
        ("photon_energy = 9 keV", BeamKind.PHOTON_ENERGY, Quantity(9000.0, None, 1e3, "keV")),
        ("photon_energy = /e", BeamKind.PHOTON_ENERGY, Quantity(None, "/e", 1.0, "eV")),
        ("photon_energy = /%/e keV", BeamKind.PHOTON_ENERGY, Quantity(None, "/%/e", 1e3, "keV")),
        ("photon_energy = 9\tkeV", BeamKind.PHOTON_ENERGY, Quantity(None, "9\tkeV", 1.0, "eV")),
        ("photon_energy =", BeamKind.PHOTON_ENERGY, Quantity(None, "", 1.0, "eV")),
        ("wavelength = 2 m", BeamKind.WAVELENGTH, Quantity(2.0)),
        ("wavelength = 1.5 A", BeamKind.WAVELENGTH, Quantity(1.5e-10, None, 1e-10, "A")),
        ("wavelength = /w A", BeamKind.WAVELENGTH, Quantity(None, "/w", 1e-10, "A")),
        ("electron_voltage = 200 V", BeamKind.ELECTRON_VOLTAGE, Quantity(200.0)),
        ("electron_voltage = /v kV", BeamKind.ELECTRON_VOLTAGE, Quantity(None, "/v", 1e3, "kV")),
    ],
)
def test_beam(parse: Parse, line: str, kind: BeamKind, beam: Quantity) -> None:
    """Units are case-sensitive, after exactly one blank; what is no number is a header."""
    geometry = parse(line)
    assert (geometry.beam_kind, geometry.beam) == (kind, beam)
    assert (
        geometry.warnings[0].endswith("replaces the value of line 1") or len(geometry.warnings) > 1
    )


@pytest.mark.parametrize(
    "line",
    [
        "photon_energy = 9  keV",
        "photon_energy = 9 kev",
        "photon_energy = 9 m",
        "wavelength = 1",
        "wavelength = 1 nm",
        "wavelength = 1\tA",
        "electron_voltage = 200 KV",
        "electron_voltage = 200",
        "peak_list_type = CXI",
    ],
)
def test_refused_top_level_values(top: str, panel: str, line: str) -> None:
    """The line is named, with the choice of what is expected."""
    error = refusal(top + panel + line + "\n")
    assert error.line == 13
    assert "expected" in str(error)


@pytest.mark.parametrize(
    ("value", "clen"),
    [
        ("2", Quantity(2.0)),
        ("2 m", Quantity(2.0)),
        ("2 mm", Quantity(0.002)),
        ("", Quantity(0.0)),
        ("/c", Quantity(None, "/c", 1e-3, "mm")),
        ("/c m", Quantity(None, "/c", 1.0, "m")),
        ("2mm", Quantity(None, "2mm", 1e-3, "mm")),
        ("2 cm", Quantity(None, "2", 0.0, "cm")),
        ("2  mm", Quantity(None, "2", 0.0, " mm")),
    ],
)
def test_camera_length(parse: Parse, value: str, clen: Quantity) -> None:
    """Literals default to metres, headers to millimetres; unknown units fail with the frames."""
    assert parse(f"clen = {value}").clen == clen


def test_lengths_without_unit_of_the_shift(parse: Parse) -> None:
    """Headers of the shift default to metres, unlike those of the camera length."""
    geometry = parse("detector_shift_x = /x", "detector_shift_y = 3 mm")
    assert geometry.detector_shift == (Quantity(None, "/x", 1.0, "m"), Quantity(0.003))


@pytest.mark.parametrize(("axis", "effect"), [("x", "no frame can be read"), ("y", "no effect")])
def test_half_a_shift(parse: Parse, axis: str, effect: str) -> None:
    """One of the two shifts alone is kept as it is, with a warning."""
    geometry = parse(f"detector_shift_{axis} = 1")
    assert geometry.detector_shift is not None
    assert Quantity() in geometry.detector_shift
    assert effect in geometry.warnings[0]


def test_other_top_level_lines(parse: Parse) -> None:
    """Peak lists and bandwidth; rigid groups of older versions are dropped."""
    geometry = parse(
        "peak_list = /p/%",
        "peak_list_type = list3",
        "bandwidth = 1e-3",
        "bandwidth = 1 %",
        "rigid_group_x = p0,p7",
        "rigid_group_collection_y = x",
    )
    assert (geometry.peak_list, geometry.peak_list_type) == ("/p/%", "list3")
    assert geometry.bandwidth == 1e-3
    assert geometry.groups == {}
    assert len(geometry.warnings) == 2


def test_need_beam(top: str, panel: str) -> None:
    """Wavelength and camera length may be missing on request, everything else stays strict."""
    bare = top.replace("photon_energy = 9000 eV", "").replace("clen = 0.1 m", "")
    assert "wavelength" in str(refusal(bare + panel))
    geometry = parse_geometry(bare + panel, file="a.geom", need_beam=False)
    assert (geometry.beam_kind, geometry.beam, geometry.clen) == (None, None, None)
    assert refusal(bare + panel + "max_adu = 3\n", need_beam=False).line == 13


@pytest.mark.parametrize(
    ("line", "attribute", "value"),
    [
        ("min_fs = 1.9", "min_fs", 1),
        ("max_fs = 0x7f", "max_fs", 127),
        ("min_ss = -0.5", "min_ss", 0),
        ("corner_x = 1e2 px", "corner_x", 100.0),
        ("corner_y = inf", "corner_y", math.inf),
        ("coffset = 5 mm", "coffset", 5.0),
        ("res = abc", "res", 0.0),
        ("max_adu = 100", "max_adu", 100.0),
        ("data = relative path", "data", "relative path"),
        ("no_index = TRUE", "no_index", True),
        ("no_index = 2", "no_index", True),
        ("no_index = yes", "no_index", False),
        ("no_index = 0.9", "no_index", False),
        ("mask_edge_pixels = 3", "mask_edge_pixels", 3),
        ("mask_edge_pixels =", "mask_edge_pixels", 0),
        ("saturation_map = /s", "saturation_map", "/s"),
        ("saturation_map_file = s.h5", "saturation_map_file", "s.h5"),
        ("fs = -0.5x +2y", "fs", (-0.5, 2.0, 0.0)),
        ("dim2 = 5", "dims", ("ss", "fs", 5)),
        ("dim2 = %", "dims", ("ss", "fs", "%")),
        ("dim3 = 5", "dims", ("ss", "fs", -3, 5)),
        ("dim2 = -4", "dims", ("ss", "fs", "%")),
        ("dim0 = abc", "dims", ("ss", "fs")),
        ("dim16 = 1", "dims", ("ss", "fs")),
        ("dim-1 = 1", "dims", ("ss", "fs")),
        ("dimx = 1", "dims", ("ss", "fs")),
        ("mask = /m", "masks", (Mask(0, "/m"),)),
        ("mask = m", "masks", ()),
        ("mask8_data = /m", "masks", ()),
        ("flag_equal = 65535", "flags", (Flag("equal", 65535),)),
        ("flag_lessthan = -0.5", "flags", (Flag("lessthan", 0),)),
        ("flag_morethan = 65534.7", "flags", (Flag("morethan", 65534),)),
        ("flag_equal = 4294967295", "flags", (Flag("equal", 4294967295),)),
        ("flag_equal = nan", "flags", (Flag("equal", -(2**31)),)),
    ],
)
def test_panel_directives(parse: Parse, line: str, attribute: str, value: object) -> None:
    """Each directive, as panel's own and as default, with CrystFEL's reading of odd values."""
    assert getattr(parse(f"p0/{line}").panels[0], attribute) == value
    if attribute not in {"min_fs", "max_fs", "min_ss", "corner_x", "corner_y", "fs"}:
        assert getattr(parse(before=f"{line}\n").panels[0], attribute) == value


def test_last_gain_wins(parse: Parse) -> None:
    """ADU per photon and per eV exclude each other."""
    (panel,) = parse("p0/adu_per_eV = 0.5").panels
    assert (panel.adu_per_photon, panel.adu_per_ev) == (None, 0.5)
    (panel,) = parse("p0/adu_per_eV = 0.5", "p0/adu_per_photon = 3").panels
    assert (panel.adu_per_photon, panel.adu_per_ev) == (3.0, None)


def test_masks(parse: Parse) -> None:
    """Numbered masks and the old names of mask 0; bits are 32 bits, and junk is no bits."""
    (panel,) = parse(
        "p0/data = /%/d",
        "p0/mask3_data = /%/m",
        "p0/mask3_goodbits = 0xff",
        "p0/mask3_badbits = -1",
        "p0/mask = /n",
        "p0/mask_file = n.h5",
        "p0/mask_good = 4294967297",
        "p0/mask_bad = 6",
        "p0/mask_bad = none",
    ).panels
    assert panel.masks == (
        Mask(0, "/n", "n.h5", good_bits=1, bad_bits=6),
        Mask(3, "/%/m", None, good_bits=0xFF, bad_bits=0xFFFFFFFF),
    )


@pytest.mark.parametrize(
    "line",
    [
        "mask1_goodbits = bits",
        "mask1_data = relative",
        "mask1 = /m",
        "mask10_data = /m",
        "mask_data = /m",
        "mask_edge_pixels = 1.5",
        "clen = 0.1",
        "fs = 1e-3x",
        "dim-2 = 1",
    ],
)
def test_refused_panel_lines(top: str, panel: str, line: str) -> None:
    """The refusal names the line."""
    assert refusal(f"{top}{panel}p0/{line}\n").line == 13


@pytest.mark.parametrize("key", ["min_fs", "max_ss", "corner_x", "corner_y", "fs", "ss"])
def test_missing_keys(top: str, panel: str, key: str) -> None:
    """A panel needs all its own keys; the refusal names key, panel and where it begins."""
    lines = [line for line in panel.splitlines() if not line.startswith(f"p0/{key} ")]
    error = refusal(top + "\n".join(lines))
    assert error.line == 5
    assert f"p0/{key} = " in str(error)


def test_defaults_hold_for_later_panels_only(top: str, panel: str) -> None:
    """A panel takes the defaults of the moment it is first named; flags add up."""
    text = (
        f"{top}flag_equal = 1\n{panel}data = /later\nflag_equal = 2\nres = 5\n"
        f"{panel.replace('p0', 'p1')}p0/flag_equal = 3\n"
    )
    first, second = parse_geometry(text, file="a.geom").panels
    assert (first.data, first.res) == ("/data/data", 1e4)
    assert (second.data, second.res) == ("/later", 5.0)
    assert [flag.value for flag in first.flags] == [1, 3]
    assert [flag.value for flag in second.flags] == [1, 2]


def test_a_panel_begins_at_any_mention(top: str, panel: str) -> None:
    """Even an unknown key creates the panel, with the defaults of that line."""
    text = f"p0/nonsense = 1\n{top}{panel}"
    assert "res" in str(refusal(text))


def test_defaults_after_the_last_panel_are_refused(top: str, panel: str) -> None:
    """Even an unknown key, but not the beam, the distance and groups."""
    assert refusal(f"{top}{panel}data = /x\n").line == 13
    assert refusal(f"{top}{panel}nonsense = 1\n").line == 13
    parse_geometry(f"{top}{panel}clen = 3\ngroup_a = p0\nrigid_group_0 = p0\n", file="a.geom")


@pytest.mark.parametrize(
    ("lines", "region"),
    [
        (
            ["panel = p0", "min_fs = 1", "max_fs = 3", "min_ss = 2", "max_ss = 19"],
            BadRegion("bad_a", "p0", (1, 3, 2, 19)),
        ),
        (["max_fs = 300"], BadRegion("bad_a", "p0", (0, 300, 0, 0))),
        (["panel = p0", "min_fs = 9", "max_fs = -3"], BadRegion("bad_a", "p0", (9, -3, 0, 0))),
        (
            ["min_x = 1", "max_x = 2", "min_y = 3.5", "max_y = 4", "panel = no such"],
            BadRegion("bad_a", None, (1.0, 2.0, 3.5, 4.0)),
        ),
    ],
)
def test_bad_regions(parse: Parse, lines: list[str], region: BadRegion) -> None:
    """Both forms; limits that are left out are zero; without a panel nothing is checked."""
    geometry = parse(*(f"bad_a/{line}" for line in lines))
    assert geometry.bad_regions == (region,)


def test_bad_region_without_panel_counts_from_its_corner(top: str, panel: str) -> None:
    """As CrystFEL, limits of a region without a panel are relative to the only panel."""
    moved = panel.replace("min_fs = 0", "min_fs = 100").replace("max_fs = 9", "max_fs = 109")
    text = f"bad_a/min_fs = 1\nbad_a/max_fs = 2\n{top}{moved}"
    geometry = parse_geometry(text, file="a.geom")
    assert geometry.bad_regions == (BadRegion("bad_a", "p0", (101, 102, 0, 0)),)
    assert "counted from the corner" in "".join(geometry.warnings)


def test_incomplete_laboratory_region(parse: Parse) -> None:
    """A limit that is left out is not a number, and nothing is masked."""
    geometry = parse("bad_a/min_x = 1")
    assert geometry.bad_regions[0].limits[0] == 1.0
    assert all(math.isnan(limit) for limit in geometry.bad_regions[0].limits[1:])
    assert "masks nothing" in geometry.warnings[0]


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (["bad_a/min_x = 1", "bad_a/min_fs = 1"], 14),
        (["bad_a/panel = p0"], 13),
        (["bad_a/unknown = 1"], 13),
        (["bad_a/min_fs = 1", "bad_a/panel = p7"], 14),
        (["bad_a/min_fs = 0", "bad_a/max_fs = 10", "bad_a/panel = p0"], 13),
        ([f"bad{'a' * 1100}/min_fs = 0"], 13),
    ],
)
def test_refused_bad_regions(top: str, panel: str, lines: list[str], line: int) -> None:
    """Mixed, empty, in a panel that does not exist, outside it, and too long a name."""
    assert refusal(top + panel + "\n".join(lines)).line == line


def test_groups(parse: Parse) -> None:
    """Members may be panels and groups of earlier lines; empty members vanish."""
    geometry = parse("group_b = ,p0,", "group_all = b,p0")
    assert geometry.groups == {"b": ("p0",), "all": ("b", "p0")}
    assert geometry.warnings == ()
    assert "refinement" in parse("group_b = b").warnings[0]


@pytest.mark.parametrize(
    "lines",
    [
        ["group_a ="],
        ["group_a = p0,p0"],
        ["group_a = p0, p0"],
        ["group_p0 = p0"],
        ["group_a = p0", "group_a = p0"],
        ["group_b = a", "group_a = p0"],
        ["group_all = all"],
        ["group_a = a", "group_all = a"],
    ],
)
def test_refused_groups(top: str, panel: str, lines: list[str]) -> None:
    """Empty, repeated or unknown members, names in use, and circles below 'all'."""
    assert refusal(top + panel + "\n".join(lines)).line in {13, 14}


def test_many_groups_and_members(top: str, panel: str) -> None:
    """At most 64 members, and 512 groups with one per panel included."""
    many = top + "".join(panel.replace("p0", f"q{n}") for n in range(511))
    names = [f"q{n}" for n in range(65)]
    parse_geometry(f"{many}group_a = {','.join(names[:64])}\n", file="a.geom")
    assert "65 members" in str(refusal(f"{many}group_a = {','.join(names)}\n"))
    assert "too many" in str(refusal(f"{many}group_a = q0\ngroup_b = q0\n"))


def test_lexical_rules(top: str, panel: str) -> None:
    """Carriage returns, comments anywhere, blanks, the first equals sign, the first slash."""
    text = f"{top}{panel}".replace("\n", " ; = comment\r\n\t ") + "p0/a/b = 1 = 2\rp0/ res = 7"
    (panel_read,) = (geometry := parse_geometry(text, file="a.geom")).panels
    assert panel_read.res == 1e4
    assert geometry.warnings == (
        "13: unknown key 'p0/a/b' is ignored",
        "14: unknown key 'p0/ res' is ignored",
    )


def test_blanks_are_part_of_a_panel_name(top: str, panel: str) -> None:
    """A blank before the slash makes another panel."""
    text = top + panel + panel.replace("p0/", "p0 /")
    assert [p.name for p in parse_geometry(text, file="a.geom").panels] == ["p0", "p0 "]


def test_text_ends_at_nul(top: str, panel: str) -> None:
    """What follows a NUL is not seen."""
    geometry = parse_geometry(top + panel + "\0no equals sign", file="a.geom")
    assert "NUL" in geometry.warnings[0]


@pytest.mark.parametrize(
    ("text", "line"), [("", 1), ("; comment\n\n", 1), ("clen = 1\n", 1), ("\n# comment\n", 2)]
)
def test_files_without_panels(text: str, line: int) -> None:
    """Every refusal of a text names a line."""
    assert refusal(text).line == line


def test_warnings_name_their_lines(parse: Parse) -> None:
    """Everything that is accepted though hardly meant is listed, by line."""
    geometry = parse("p0/res = 5 mm", "bad_a/min_x = 1", "bad_a/min_x = 2", "clen = 1 cm")
    numbers = [int(warning.partition(":")[0]) for warning in geometry.warnings]
    assert numbers == sorted(numbers)
    assert {13, 14, 15, 16} == set(numbers)


def test_warnings_are_limited(top: str, panel: str) -> None:
    """A file of nothing but nonsense does not fill the memory."""
    geometry = parse_geometry(top + panel + "p0/x = 1\n" * 5000, file="a.geom")
    assert len(geometry.warnings) == 1000


def test_read_geometry(tmp_path: Path, top: str, panel: str) -> None:
    """Bytes that are no UTF-8 are fine in names and comments, and come back as they were."""
    path = tmp_path / "a.geom"
    path.write_bytes(b"; \xff\n" + (top + panel).replace("p0", "\xe9").encode("latin1"))
    geometry = read_geometry(path)
    assert geometry.file == str(path)
    assert geometry.panels[0].name.encode("utf-8", "surrogateescape") == b"\xe9"
    assert geometry.text.encode("utf-8", "surrogateescape") == path.read_bytes()


def test_unreadable_files(tmp_path: Path) -> None:
    """A missing file, a directory, and something that is no text at all."""
    big = tmp_path / "big.geom"
    with big.open("wb") as handle:
        handle.truncate(17 * 2**20)
    for path in (tmp_path / "none.geom", tmp_path, big, Path("a\0b")):
        with pytest.raises(GeometryError):
            read_geometry(path)
