"""The line between hands and what is none: it lets the wanted share of empty pictures pass, and counts a picture by its best candidate."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "tools"))
import mine_false_hands
import weigh_found_hands
from weigh_found_hands import found_share, views, weigh

from handpose.errors import HandposeError


def pictures(seed, mean, is_hand, n=200):
    """`n` pictures of one to three candidates each, whose three opinions scatter about `mean` [log-odds]."""
    rng = np.random.default_rng(seed)
    chances = 1 / (1 + np.exp(-rng.normal(mean, 1.5, (n, 3, 3))))
    return [[(*one, is_hand) for one in picture[: rng.integers(1, 4)]] for picture in chances]


HANDS, EMPTY = pictures(0, 1.5, True), pictures(1, -1.5, False)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.1])
def test_as_many_empty_pictures_pass_as_are_allowed(share):
    weights, bias = weigh(HANDS, EMPTY, share)
    passed = found_share([[(*one[:3], True) for one in picture] for picture in EMPTY], weights, bias)
    assert passed == share


def test_a_line_that_nothing_bounds_is_refused():
    with pytest.raises(HandposeError, match="20 of 200 empty pictures look like hands at all"):
        weigh(HANDS, EMPTY[:20] + [[]] * 180, 0.1)


def test_folders_are_looked_at_first(tmp_path, monkeypatch, capsys):
    """Before networks are loaded; cut-outs of other weights are not mixed with."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "00000.jpg").touch()
    for name in ("0001.jpg", "0006.jpg"):
        (tmp_path / name).touch()
    for tool, options, said in (
        (
            weigh_found_hands,
            ["--photos", "x", "--empty", tmp_path / "old"],
            "no .jpg pictures in it whose number ends in one of 6789",
        ),
        (mine_false_hands, ["--o", tmp_path / "new", "--empty", tmp_path / "old"], "ends in one of 12345"),
        (mine_false_hands, ["--o", tmp_path / "old", "--empty", tmp_path], "old: not empty"),
    ):
        monkeypatch.setattr(sys, "argv", ["tool", *map(str, options)])
        with pytest.raises(HandposeError, match=said):
            tool.main()


def test_a_stricter_line_finds_fewer_hands_by_the_same_weights():
    (loose, loose_bias), (strict, strict_bias) = (weigh(HANDS, EMPTY, share) for share in (0.1, 0.01))
    np.testing.assert_array_equal(loose, strict)
    assert strict_bias < loose_bias
    assert 0.5 < found_share(HANDS, strict, strict_bias) < found_share(HANDS, loose, loose_bias) < 1


def test_an_opinion_that_knows_nothing_counts_little_and_none_counts_against_a_hand():
    rng = np.random.default_rng(2)
    blind = [[(a, b, float(rng.uniform(0.01, 0.99)), hand) for a, b, _, hand in picture] for picture in HANDS]
    weights, _ = weigh(
        blind, [[(a, b, float(rng.uniform(0.01, 0.99)), hand) for a, b, _, hand in p] for p in EMPTY], 0.02
    )
    assert weights.min() >= 0
    assert weights[2] < 0.3 * weights[:2].min()


def test_only_candidates_that_are_the_labelled_hand_count_as_found():
    weights, bias = weigh(HANDS, EMPTY, 0.02)
    elsewhere = [[(0.99, 0.99, 0.99, False), (0.01, 0.01, 0.01, True)]]
    assert found_share(elsewhere, weights, bias) == 0
    assert found_share([[]], weights, bias) == 0


def test_an_empty_picture_counts_as_itself_its_mirror_image_and_a_closer_view_of_either():
    image = np.arange(40 * 60 * 3, dtype=np.uint32).reshape(40, 60, 3)
    whole, closer, mirrored, closer_mirrored = views(np.random.default_rng(0), image)
    np.testing.assert_array_equal(whole, image)
    np.testing.assert_array_equal(mirrored, image[:, ::-1])
    for part, of in ((closer, whole), (closer_mirrored, mirrored)):
        assert 0.75 * 40 <= len(part) < 40 and 0.75 * 60 <= part.shape[1] < 60
        top, left = np.argwhere((of == part[0, 0]).all(-1))[0]
        np.testing.assert_array_equal(part, of[top : top + len(part), left : left + part.shape[1]])
