"""The eye that compares pictures of hands: always the same one, and it sees where a hand is."""

import numpy as np

from geocongan.eye import Eye
from handpose.synthesis.backgrounds import Backgrounds
from handpose.synthesis.sampler import RenderSampler
from handpose.synthesis.translated import as_seen, on_white

FROZEN = "13323e1d1365398f95e7c318be45162a3c511bdfa8ae6d3218486e0f81dc805b"


def test_it_is_the_frozen_one_and_sees_joints_move_with_the_hand():
    eye = Eye()
    assert eye.sha256 == FROZEN, "figures of before can no longer be set beside new ones"
    hands = [RenderSampler(4, 128, backgrounds=Backgrounds()).rendered(number) for number in range(4)]
    pictures = np.stack([on_white(as_seen(hand, 128)[0]) for hand in hands])
    moved = np.roll(pictures, 8, axis=2)
    (features, joints), (_, after) = eye(pictures), eye(moved)
    assert features.shape[0] == 4 and features.std(0).max() > 0
    shift = np.median((after - joints).reshape(-1, 2), axis=0) * 128
    np.testing.assert_allclose(shift, (8, 0), atol=2)
