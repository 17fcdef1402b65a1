"""Splits: nothing leaks from training into the test."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxlsfind.datasets.catalog import Entry
from cxlsfind.datasets.selection import Selection
from cxlsfind.datasets.splits import (
    SHARED,
    Split,
    read_split,
    split_by_selection,
    split_by_share,
    varying,
    write_split,
)
from cxlsfind.datasets.tree import Frame
from cxlsfind.errors import InputError


def entry(number, crystal, energy, clen, background):
    frame = Frame(f"{number % 9 + 1:02d}", f"{number:06d}.h5", {})
    return Entry(frame, energy, clen, False, crystal, background, "hit")


some_entries = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from([6000.0, 7000.0]),
        st.sampled_from([0.1, 0.2]),
        st.sampled_from([str(n) for n in range(30)]),
    ),
    min_size=1,
    max_size=60,
).map(lambda rows: [entry(number, *row) for number, row in enumerate(rows)])
some_names = st.lists(st.sampled_from(list(SHARED)), min_size=1, unique=True)


def assert_leak_free(entries, split, kept_apart):
    by_name = {e.frame.name: e for e in entries}
    assert sorted(split.train + split.test + split.unused) == sorted(by_name)
    assert split.train
    assert split.test
    for name in kept_apart:
        values = [
            {SHARED[name](by_name[frame]) for frame in part} for part in (split.train, split.test)
        ]
        assert not values[0] & values[1]


@given(some_entries, some_names, st.floats(0.05, 0.95), st.integers(0, 100))
def test_shares_never_leak(entries, kept_apart, share, seed):
    try:
        split = split_by_share(entries, share, kept_apart, seed)
    except InputError:
        # Refused only where every frame is linked to every other.
        linked, left = {0}, set(range(1, len(entries)))
        while True:
            more = {
                n
                for n in left
                for m in linked
                if any(SHARED[k](entries[n]) == SHARED[k](entries[m]) for k in kept_apart)
            }
            if not more:
                break
            linked, left = linked | more, left - more
        assert not left
        return
    assert_leak_free(entries, split, kept_apart)
    assert split.unused == ()
    assert split == split_by_share(entries, share, kept_apart, seed)


@given(some_entries, some_names, st.sampled_from([6000.0, 7000.0]), st.sampled_from("abc"))
def test_leaving_out_never_leaks(entries, kept_apart, energy, crystal):
    held_out = Selection(photon_energies_ev=((energy, energy),), crystals=frozenset([crystal]))
    try:
        split = split_by_selection(entries, held_out, kept_apart)
    except InputError:
        return
    assert_leak_free(entries, split, kept_apart)
    chosen = {
        e.frame.name for e in entries if e.crystal == crystal and e.photon_energy_ev == energy
    }
    assert set(split.test) == chosen


def test_a_fifth_of_many_frames_is_a_fifth():
    entries = [entry(n, "a", 6000.0, 0.1, str(n)) for n in range(100)]
    split = split_by_share(entries, 0.2, varying(entries), seed=1)
    assert (len(split.train), len(split.test)) == (80, 20)
    assert split.kept_apart == ("seed",)
    assert split != split_by_share(entries, 0.2, varying(entries), seed=2)


def test_conditions_stay_together():
    entries = [entry(n, "a", 6000.0 + n // 10, 0.1, str(n)) for n in range(90)]
    split = split_by_share(entries, 0.2, varying(entries), seed=0)
    assert split.kept_apart == ("condition", "seed")
    assert len(split.test) in (10, 20)
    assert_leak_free(entries, split, split.kept_apart)


def test_a_grid_of_crystals_and_conditions_leaves_mixed_frames_unused():
    entries = [
        entry(n, crystal, energy, 0.1, str(n))
        for n, (crystal, energy) in enumerate((c, e) for c in "ab" for e in (6000.0, 7000.0))
    ]
    with pytest.raises(InputError, match=r"share a crystal or a condition .*--leave-out"):
        split_by_share(entries, 0.2, ("crystal", "condition"), seed=0)
    held_out = Selection(photon_energies_ev=((7000.0, 7000.0),), crystals=frozenset("b"))
    split = split_by_selection(entries, held_out, ("crystal", "condition"))
    assert [len(part) for part in (split.train, split.test, split.unused)] == [1, 1, 2]


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        (Selection(crystals=frozenset(["x"])), "fits none of the frames"),
        (Selection(crystals=frozenset(["a"])), "no frame is left for training"),
    ],
)
def test_splits_without_one_side_are_refused(held_out, message):
    entries = [entry(n, "a", 6000.0, 0.1, str(n)) for n in range(4)]
    with pytest.raises(InputError, match=message):
        split_by_selection(entries, held_out, ("seed",))


def test_a_split_is_read_as_it_was_written(tmp_path):
    split = Split(("01/a.h5", "02/b.h5"), ("03/c.h5",), (), ("seed",))
    write_split(tmp_path / "split.json", split)
    assert read_split(tmp_path / "split.json") == split


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": "cxlsfind-split/9"}', "\xff"])
def test_what_is_no_split_is_refused(tmp_path, text):
    path = tmp_path / "split.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"split\.json: "):
        read_split(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_split(tmp_path / "none.json")
