"""What is known of frames, which of them are chosen, and how classes are weighed."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.datasets.catalog import class_weight, read_catalog, total_by_dataset
from cxlsfind.datasets.selection import Selection, parse_datasets
from cxlsfind.datasets.tree import scan_tree
from cxlsfind.errors import InputProblemsError, UsageError


def test_frames_of_a_simulated_tree(made_tree):
    entries = read_catalog(scan_tree(made_tree))
    assert {entry.crystal for entry in entries} == {"proteinase_k"}
    assert {entry.condition for entry in entries} == {"6000eV_0.1m", "8000eV_0.1m"}
    assert len({entry.background for entry in entries}) == len(entries)
    assert [entry.is_empty for entry in entries] == [e.frame.has_empty_name for e in entries]
    assert {e.frame_class for e in entries if e.is_empty} == {"blank"}
    assert {e.frame_class for e in entries if not e.is_empty} == {"hit"}


def test_weights_are_empties_over_patterns(made_tree):
    entries = read_catalog(scan_tree(made_tree))
    assert total_by_dataset(entries) == {"01": (3, 2), "02": (3, 2)}
    assert class_weight(entries) == pytest.approx(2 / 3)
    assert class_weight([entry for entry in entries if entry.is_empty]) == float("inf")
    assert class_weight([entry for entry in entries if not entry.is_empty]) == 0.0


def test_frames_of_others_share_the_noise_of_their_water(foreign_tree):
    entries = read_catalog(scan_tree(foreign_tree))
    by_dataset = {(entry.dataset, entry.background) for entry in entries}
    assert len(by_dataset) == 2
    assert len({background for _, background in by_dataset}) == 2
    assert {entry.crystal for entry in entries} == {"unknown"}
    assert [(e.photon_energy_ev, e.clen_m) for e in entries] == [(6000, 0.15)] * 3 + [
        (7000, 0.15)
    ] * 3


def test_a_water_image_copied_to_another_data_set_is_recognised(foreign_tree):
    water = foreign_tree / "water"
    (water / "02" / "water02.h5").write_bytes((water / "01" / "water01.h5").read_bytes())
    entries = read_catalog(scan_tree(foreign_tree))
    assert len({entry.background for entry in entries}) == 1


def test_without_water_a_data_set_may_share_anything(foreign_tree):
    for path in (foreign_tree / "water").rglob("*.h5"):
        path.unlink()
    entries = read_catalog(scan_tree(foreign_tree))
    assert {entry.background for entry in entries} == {"unknown/01", "unknown/02"}


def test_names_stand_in_for_attributes(tmp_path, write_foreign):
    write_foreign(tmp_path / "peaks/03/img_8keV_clen01_00001.h5", np.zeros((2, 2)))
    (entry,) = read_catalog(scan_tree(tmp_path))
    assert (entry.photon_energy_ev, entry.clen_m, entry.is_empty) == (8000, 0.15, False)


def test_frames_of_which_nothing_is_known_are_all_named(tmp_path, write_foreign):
    for number in (1, 2):
        write_foreign(tmp_path / f"peaks/12/img_{number}.h5", np.zeros((2, 2)))
    (tmp_path / "peaks/12/img_3.h5").write_text("")
    with pytest.raises(InputProblemsError) as caught:
        read_catalog(scan_tree(tmp_path))
    assert len(caught.value.problems) == 3
    assert "img_1.h5: no attribute 'photon_energy'" in caught.value.problems[0]


@pytest.mark.parametrize(
    ("selection", "number"),
    [
        (Selection(), 10),
        (Selection(datasets=frozenset([2])), 5),
        (Selection(photon_energies_ev=((6000, 6000),)), 5),
        (Selection(photon_energies_ev=((5000, 6000), (8000, 9000))), 10),
        (Selection(photon_energies_ev=((6001, 7999),)), 0),
        (Selection(clens_m=((0.1, 0.1),)), 10),
        (Selection(clens_m=((0.11, 1.0),)), 0),
        (Selection(crystals=frozenset(["lysozyme"])), 0),
        (Selection(datasets=frozenset([1]), photon_energies_ev=((8000, 8000),)), 0),
    ],
)
def test_frames_are_chosen_by_number_and_condition(made_tree, selection, number):
    assert len(selection.of(read_catalog(scan_tree(made_tree)))) == number


@pytest.mark.parametrize(
    ("text", "numbers"), [("1", {1}), ("01,03-05", {1, 3, 4, 5}), (" 2 , 2", {2}), ("9-7", set())]
)
def test_lists_of_data_sets(text, numbers):
    assert parse_datasets(text) == numbers


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "1,,2", "1-2-3", "1.5"])
def test_what_is_no_list_of_data_sets(text):
    with pytest.raises(UsageError, match="write it like 01,03-05"):
        parse_datasets(text)
