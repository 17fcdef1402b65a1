"""The geometry beside the lists describes hits.cxi and is otherwise the user's."""

from dataclasses import replace
from pathlib import Path

import pytest

from cxlsfind.geometry.crystfel import parse_geometry
from cxlsfind.geometry.model import BadRegion, Flag, Mask, Quantity
from cxlsfind.writers.collect import ResultCollector
from cxlsfind.writers.derived_geometry import (
    lost_from_table,
    original_geometry_text,
    table_geometry_text,
)
from cxlsfind.writers.handoff import HandOff, plan_hand_off


@pytest.fixture
def collect(tmp_path, make_block):
    def run(*results):
        with ResultCollector(tmp_path) as collector:
            collector.add(make_block(*results))
            return collector.results()

    return run


@pytest.fixture
def derive(geometry, sources, collect, make_result):
    """A function that parses the geometry derived from one, for frames of some energies."""

    def run(geometry=geometry, energies=(9000.0,), clens=(0.1,), hand_off=None):
        pairs = zip(energies, clens, strict=True)
        results = [make_result(n, energy=e, clen=c) for n, (e, c) in enumerate(pairs)]
        hand_off = hand_off or plan_hand_off(sources.groups)
        text = table_geometry_text(geometry, sources.layout, hand_off, collect(*results))
        return parse_geometry(text, file="hits.geom")

    return run


def test_panels_look_into_the_table(derive, geometry):
    derived = derive()
    assert derived.peak_list == "/run/%/result"
    assert derived.peak_list_type == "cxi"
    for panel, original in zip(derived.panels, geometry.panels, strict=True):
        assert panel.data == "/run/%/data"
        assert panel.dims == ("%", "ss", "fs")
        (mask,) = panel.masks
        assert (mask.data, mask.file, mask.good_bits, mask.bad_bits) == ("/run/%/mask", None, 0, 1)
        assert replace(panel, data=original.data, masks=()) == original


def test_physical_dimensions_replace_those_of_the_geometry(derive):
    derived = derive(hand_off=HandOff((("%", 0, "ss", "fs"),)))
    assert {panel.dims for panel in derived.panels} == {("%", 0, "ss", "fs")}


def test_single_images_use_lists(derive):
    derived = derive(hand_off=HandOff((("ss", "fs"),)))
    assert derived.peak_list == "/run/%/peaks"
    assert derived.peak_list_type == "list3"
    assert derived.panels[0].dims == ("ss", "fs")


def test_one_value_is_literal_and_several_are_arrays(derive):
    constant = derive(energies=(9123.4567890123, 9123.4567890123), clens=(0.1, 0.2))
    assert constant.beam is not None
    assert constant.beam.value == pytest.approx(9123.4567890123, abs=1e-3)
    assert constant.clen is not None
    assert constant.clen.header == "/run/%/clen"
    assert constant.clen.scale == 1.0
    varying = derive(energies=(9000.0, 9001.0), clens=(0.1, 0.1))
    assert varying.beam is not None
    assert varying.beam.header == "/run/%/photon_energy_eV"
    assert varying.beam.scale == 1.0
    assert varying.clen is not None
    assert varying.clen.value == 0.1


def test_shift_stays_where_there_is_one(derive, geometry):
    assert derive().detector_shift is None
    shift = (Quantity(header="/x", scale=1e-3, unit="mm"), Quantity(header="/y", unit="m"))
    derived = derive(geometry=replace(geometry, detector_shift=shift))
    assert derived.detector_shift is not None
    assert [item.value for item in derived.detector_shift] == [0.0, 0.0]


def test_masks_are_merged_while_flags_regions_and_groups_stay(derive, geometry):
    left = replace(
        geometry.panels[0],
        masks=(Mask(0, "/mask", "m.h5", 1, 0), Mask(1, "/other", None, 0, 2)),
        flags=(Flag("morethan", 65000),),
    )
    rich = replace(
        geometry,
        panels=(left, geometry.panels[1]),
        bad_regions=(BadRegion("badbeam", None, (-5.0, 5.0, -5.0, 5.0)),),
        groups={"all": ("left", "right")},
    )
    derived = derive(geometry=rich)
    assert [mask.data for mask in derived.panels[0].masks] == ["/run/%/mask"]
    assert derived.panels[0].flags == left.flags
    assert derived.bad_regions == rich.bad_regions
    assert derived.groups == rich.groups


def test_rigid_groups_are_carried_over(geometry, sources, collect, make_result):
    results = collect(make_result(0))
    text = table_geometry_text(geometry, sources.layout, plan_hand_off(sources.groups), results)
    assert "rigid_group_left = left\n" in text


def test_inner_saturation_maps_are_lost_aloud(derive, geometry):
    inner = replace(geometry.panels[0], saturation_map="/sat")
    outer = replace(geometry.panels[1], saturation_map="/sat", saturation_map_file="s.h5")
    rich = replace(geometry, panels=(inner, outer))
    derived = derive(geometry=rich)
    assert derived.panels[0].saturation_map is None
    assert derived.panels[1].saturation_map == "/sat"
    assert derived.panels[1].saturation_map_file == str(Path("s.h5").absolute())
    (sentence,) = lost_from_table(rich)
    assert "/sat" in sentence
    assert lost_from_table(geometry) == ()


def test_original_geometry_works_from_any_directory(geometry, collect, make_result):
    left = replace(geometry.panels[0], masks=(Mask(0, "/mask", "m.h5", 1, 0),))
    lacking = replace(geometry, panels=(left, geometry.panels[1]), beam=None, beam_kind=None)
    results = collect(make_result(0, energy=9000.0), make_result(1, energy=9002.0))
    parsed = parse_geometry(original_geometry_text(lacking, results), file="hits.geom")
    assert parsed.panels[0].masks[0].file == str(Path("m.h5").absolute())
    assert parsed.panels[0].data == "/entry/data"
    assert parsed.beam is not None
    assert parsed.beam.value == 9001.0


def test_flags_that_crystfel_would_cut_to_32_bits_keep_their_meaning(derive, geometry):
    """CrystFEL 0.12 takes "more than 4294967294" for "more than -2147483648": every pixel."""
    flags = (
        Flag("equal", 4294967295),
        Flag("morethan", 4294967294),
        Flag("lessthan", 0),
        Flag("morethan", 65534),
    )
    panels = tuple(replace(panel, flags=flags) for panel in geometry.panels)
    for panel in derive(replace(geometry, panels=panels)).panels:
        assert panel.flags == (
            Flag("morethan", 2_000_000_000),
            Flag("lessthan", 0),
            Flag("morethan", 65534),
        )
