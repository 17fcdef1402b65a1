"""Blocks survive their way through files, and make the results of a run."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxlsfind.records import PEAK_DTYPE, RingLight, Skipped
from cxlsfind.writers.blocks import BlockOutput, header_columns, join_columns
from cxlsfind.writers.collect import ResultCollector

VALUES = st.dictionaries(
    st.sampled_from(["/a", "/b"]),
    st.floats(allow_nan=False)
    | st.integers(-(2**70), 2**70)
    | st.sampled_from(["", "lyso", "ü 1"]),
)


def same(one: BlockOutput, other: BlockOutput) -> None:
    for item in fields(BlockOutput):
        left, right = getattr(one, item.name), getattr(other, item.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            assert left.tobytes() == right.tobytes()
        elif item.name == "headers":
            assert list(left) == list(right)
            for path in left:
                np.testing.assert_array_equal(left[path], right[path], strict=True)
        else:
            assert left == right


def test_blocks_come_back_from_bytes(make_block, make_result):
    block = make_block(
        make_result(0, (1.5, 2.5), values={"/e": 9000.0, "/n": 4, "/s": "ü\udce4"}),
        make_result(1, values={"/e": 9001.0, "/n": 5, "/s": ""}),
    )
    block = replace(
        block,
        skipped=(Skipped("a\udce4.h5", None, None, "torn"),),
        light=np.arange(40.0).reshape(1, 5, 4, 2),
        light_of=np.array([[7000.0, 0.15, 0.0, 1e-3, 2.0]]),
    )
    data = block.to_bytes()
    same(BlockOutput.from_bytes(data), block)
    assert BlockOutput.from_bytes(data).to_bytes() == data


def test_empty_blocks_come_back_too(make_block):
    block = replace(make_block(), skipped=(Skipped("a.h5", "//1", 1, "torn"),))
    same(BlockOutput.from_bytes(block.to_bytes()), block)
    assert block.peaks.dtype == PEAK_DTYPE


def test_damaged_bytes_are_refused(make_block, make_result):
    data = make_block(make_result(0, (1.5, 2.5))).to_bytes()
    changed = bytearray(data)
    changed[len(data) // 2] ^= 1
    for damaged in (b"", data[:3], data[: len(data) // 2], data + b" ", bytes(changed)):
        with pytest.raises(ValueError, match="are damaged"):
            BlockOutput.from_bytes(damaged)


def test_frames_left_out_of_the_stream_stay_in_the_results(plan, make_result):
    results = [make_result(0, (1.5, 2.5), (3.5, 2.5)), make_result(1, (1.5, 2.5))]
    block = BlockOutput.from_results(
        results,
        (),
        frames=plan.sources.frames,
        geometry=plan.geometry,
        serial_start=100,
        non_hits_in_stream=False,
    )
    assert block.stream.count(b"Begin chunk") == 1
    assert b"Image filename: b.h5\nEvent: //2\nImage serial number: 100\n" in block.stream
    assert block.n_peaks.tolist() == [2, 1]


def test_light_of_detectors_at_other_places_is_padded(plan):
    light = [
        RingLight(7000.0, 0.15, (0.0, 1e-4 * number), 3, np.full((5, number, 2), 1.0 + number))
        for number in (2, 3)
    ]
    block = BlockOutput.from_results(
        [], (), frames=plan.sources.frames, geometry=plan.geometry, light=light
    )
    np.testing.assert_array_equal(block.light[0, :, :2], 3.0)
    np.testing.assert_array_equal(block.light[0, :, 2], 0.0)
    np.testing.assert_array_equal(block.light[1], 4.0)
    np.testing.assert_allclose(block.light_of[1], [7000.0, 0.15, 0.0, 3e-4, 3.0])


@given(st.lists(VALUES, min_size=1, max_size=5))
def test_headers_of_mixed_kinds_make_one_column(values):
    for path, column in header_columns(values).items():
        present = [frame[path] for frame in values if path in frame]
        if any(isinstance(value, str) for value in present):
            assert column.tolist() == [str(frame.get(path, "")) for frame in values]
        else:
            expected = [float(frame.get(path, "nan")) for frame in values]
            np.testing.assert_array_equal(column.astype(float), expected)
        if len(present) == len(values) and all(
            isinstance(value, int) and abs(value) < 2**62 for value in present
        ):
            assert column.tolist() == present


def test_columns_join_over_blocks_that_lack_them():
    numbers = np.array([1, 2], np.int64)
    np.testing.assert_array_equal(join_columns([(2, numbers), (1, None)]), [1, 2, np.nan])
    texts = join_columns([(2, numbers), (1, None), (1, np.array(["lyso"]))])
    assert texts.tolist() == ["1", "2", "", "lyso"]
    exact = join_columns([(2, numbers + 2**60), (2, numbers)])
    assert exact.tolist() == [2**60 + 1, 2**60 + 2, 1, 2]


def test_collector_gives_the_run_as_columns(tmp_path, make_block, make_result):
    skipped = Skipped("a.h5", "//1", 1, "torn")
    with ResultCollector(tmp_path) as collector:
        collector.add(make_block(make_result(0, (1.5, 2.5), (3.5, 2.5)), make_result(1)))
        collector.add(replace(make_block(), skipped=(skipped,)))
        collector.add(make_block(make_result(3, *[(k + 0.5, 2.5) for k in range(6)])))
        results = collector.results()
        assert results.frame.tolist() == [0, 1, 3]
        assert results.n_peaks.tolist() == [2, 0, 6]
        assert results.first_peak.tolist() == [0, 2, 2]
        assert results.peaks["fs"].tolist() == [1.5, 3.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
        assert results.is_indexable.tolist() == [False, False, True]
        assert results.skipped == (skipped,)
    assert list(tmp_path.glob(".*")) == []


def test_collector_insists_on_input_order(tmp_path, make_block, make_result):
    with ResultCollector(tmp_path) as collector:
        collector.add(make_block(make_result(1)))
        with pytest.raises(ValueError, match="frame 1 is followed by"):
            collector.add(make_block(make_result(1)))
