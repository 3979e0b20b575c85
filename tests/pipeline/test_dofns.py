"""What travels through the pipeline together: every result once, a file's in one place."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.core.errors import FailureReason, Stage
from batch.core.records import FileReading, ImageLocation, Unscored
from batch.pipeline import dofns
from batch.pipeline.dofns import ShardDoFn


def results_of(path: str, frames: int):
    """A reading and so many frames without a score."""
    yield FileReading(ImageLocation(path, 1, 2), frames)
    for number in range(frames):
        yield Unscored(path, Stage.DECODE, FailureReason.DECODE_FAILED, frame_number=number + 1)


def collected(results, shards: int):
    """(shard, results) in the order in which a runner would see them."""
    collecting = ShardDoFn(shards)
    collecting.start_bundle()
    for result in results:
        yield from collecting.process(result)
    yield from (windowed.value for windowed in collecting.finish_bundle())


@settings(max_examples=50, deadline=None)
@given(
    paths=st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1), max_size=30),
    frames=st.integers(0, 3),
    shards=st.integers(1, 5),
    together=st.integers(1, 8),
)
def test_every_result_arrives_once_and_a_file_in_one_shard(paths, frames, shards, together):
    sent = [result for path in paths for result in results_of(path, frames)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dofns, "RESULTS_A_BATCH", together)
        found = list(collected(sent, shards))
    arrived = [result for _, results in found for result in results.items]
    assert Counter(map(repr, arrived)) == Counter(map(repr, sent))
    assert all(0 < len(results.items) <= together for _, results in found)
    places = defaultdict(set)
    for shard, results in found:
        assert 0 <= shard < shards
        for result in results.items:
            places[dofns.path_of(result)].add(shard)
    assert all(len(shard) == 1 for shard in places.values())


def test_a_name_that_is_no_utf_8_has_a_shard_too():
    (found,) = collected(results_of("caf\udce9.jpg", 0), 1)
    assert found[0] == 0


def test_a_bundle_leaves_nothing_for_the_next():
    collecting = ShardDoFn(2)
    for _ in range(2):
        collecting.start_bundle()
        assert not list(collecting.process(next(results_of("a.jpg", 0))))
        ((_, results),) = (windowed.value for windowed in collecting.finish_bundle())
        assert len(results.items) == 1
