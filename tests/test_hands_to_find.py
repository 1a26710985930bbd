"""Pictures in which hands are to be found: the same each time, joints where the hands are, each photograph once more with a thing before it."""

import sys
from itertools import islice
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "tools"))
import hands_to_find
from hands_to_find import pictures


def test_each_photograph_comes_twice_and_the_second_time_something_hides_part_of_it(shared_data):
    drawn = list(islice(pictures([shared_data / "real" / "hands_dguzk"], 4), 8))
    for (free, joints), (covered, again) in zip(drawn[::2], drawn[1::2], strict=True):
        assert free.shape == covered.shape and max(free.shape) < 600
        np.testing.assert_array_equal(joints, again)
        changed = (free != covered).any(axis=-1)
        assert 0 < changed.mean() < 0.6
        for hand in joints:
            assert (hand > 0).all() and (hand < free.shape[1::-1]).all()


def test_renders_show_a_hand_of_any_size_and_are_the_same_each_time(monkeypatch):
    monkeypatch.setattr(hands_to_find, "_photographs", lambda folder, n: iter(()))
    first, second = (list(pictures([Path("photographs")], 12)) for _ in range(2))
    assert 6 <= len(first) <= 12, "hands that lie mostly outside are left out"
    sizes = []
    for (image, (joints,)), (same, _) in zip(first, second, strict=True):
        np.testing.assert_array_equal(image, same)
        sizes.append(np.ptp(joints, axis=0).max() / len(image))
        assert ((joints < 0) | (joints >= len(image))).any(axis=-1).mean() <= 0.3
    assert min(sizes) < 0.35 < max(sizes)
