"""Translated hands in RegNet's stream: same hands, other looks, each translated once; colours clean to the rim; what is missing is told."""

import argparse

import numpy as np
import pytest
from geocongan_data import write_translator

from handpose.errors import HandposeError
from handpose.skeleton import M0, WRIST
from handpose.synthesis.backgrounds import Backgrounds
from handpose.synthesis.compose import EFFECTS
from handpose.synthesis.foreground import premultiplied, straight
from handpose.synthesis.sampler import RenderSampler
from handpose.synthesis.translated import (
    TranslatedSampler,
    Translator,
    as_seen,
    crop_window,
    on_white,
    recoloured,
    translated,
)
from regnet import evaluate, train
from regnet.batches import BatchMaker, StreamConfig
from regnet.render_items import RenderItems

SIZE = 64


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    """Of less red, and more blue than before."""
    return write_translator(tmp_path_factory.mktemp("weights") / "synth2real.onnx", SIZE, (1.5, 1.0, 0.5))


@pytest.fixture(scope="module")
def hand():
    return RenderSampler(3, SIZE, backgrounds=Backgrounds()).rendered(1)


def test_a_translation_changes_colours_and_nothing_else(hand, generator):
    after = translated(hand, Translator.from_file(generator))
    np.testing.assert_array_equal(after.rgba[..., 3], hand.rgba[..., 3])
    np.testing.assert_array_equal(after.joints_px, hand.joints_px)
    assert (after.rgba[..., :3] <= after.rgba[..., 3:]).all(), "colours are premultiplied"
    inside = hand.rgba[..., 3] == 255
    colours = [one.rgba[inside].astype(float)[:, :3] for one in (hand, after)]
    assert np.abs(colours[1] - colours[0]).max() > 20
    np.testing.assert_allclose(colours[1].mean(0), colours[0].mean(0), atol=4, err_msg="skin keeps its tone")


def test_a_translator_that_changes_nothing_changes_nothing(hand, tmp_path):
    after = translated(hand, Translator.from_file(write_translator(tmp_path / "same.onnx", SIZE)))
    difference = np.abs(after.rgba.astype(int) - hand.rgba)[hand.rgba[..., 3] > 0]
    assert difference.mean() < 4 and np.median(difference) <= 2  # it was resampled twice


def test_no_white_is_left_at_the_rim():
    """Half covered pixels are seen half white, and must come back in their own colour."""
    alpha = np.linspace(0, 255, 64).astype(np.uint8)[None].repeat(64, 0)
    picture = np.dstack([np.full((64, 64, 3), (200, 100, 50), np.uint8), alpha])
    kept = Translator(lambda pictures: pictures, 64)(picture[None])[0]
    np.testing.assert_array_equal(kept[..., 3], alpha)
    covered = alpha > 60
    assert np.abs(kept[covered][:, :3].astype(int) - (200, 100, 50)).max() <= 5
    np.testing.assert_array_equal(on_white(picture)[0, 0], 255)


def test_the_forearm_beyond_the_crop_stays():
    """The crop shows the upper half of a long thing; what lies beyond is as it was, and between them the colours pass into one another."""
    canvas = np.zeros((96, 48, 4), np.uint8)
    canvas[:, 16:32] = (200, 120, 80, 255)
    after = np.zeros((48, 48, 4), np.uint8)
    after[:, 16:32] = (100, 120, 160, 255)
    found = straight(recoloured(premultiplied(canvas[..., :3], canvas[..., 3]), after, np.eye(3)))
    column = found[:, 24, :3].astype(int)
    assert np.abs(column[2:40] - (100, 120, 160)).max() <= 4
    np.testing.assert_array_equal(column[52:], canvas[52:, 24, :3])
    steps = np.diff(column[:, 0])
    assert (steps >= 0).all() and steps.max() < 50, "no seam"
    np.testing.assert_array_equal(found[..., 3], canvas[..., 3])


@pytest.mark.parametrize("number", range(6))
def test_translators_see_the_whole_hand_and_no_more_than_a_stump_of_its_forearm(number):
    hand = RenderSampler(11, SIZE, backgrounds=Backgrounds()).rendered(number)
    seen, joints_px = as_seen(hand, 96)
    whole = straight(crop_window(hand, 96).warp(hand.rgba, 96))
    backwards = joints_px[WRIST] - joints_px[M0]
    backwards /= np.linalg.norm(backwards)
    behind = np.stack(np.meshgrid(np.arange(96), np.arange(96)), -1) @ backwards - (joints_px @ backwards).max()
    stump = 0.12 * np.ptp(joints_px, axis=0).max()
    np.testing.assert_array_equal(seen[behind < stump - 1], whole[behind < stump - 1])
    assert not seen[behind > stump + 1][:, 3].any()


def test_effects_of_the_camera_are_chosen(generator, tmp_path):
    samplers = [
        RenderSampler(3, SIZE, backgrounds=Backgrounds(), effects=effects) for effects in ((), ("blur",), EFFECTS)
    ]
    plain, blurred, all_of_them = (sampler.sample(0) for sampler in samplers)
    np.testing.assert_array_equal(plain.joints_px, all_of_them.joints_px)
    assert (plain.image != all_of_them.image).any() and (blurred.image != all_of_them.image).any()
    config = StreamConfig(("render", "ganerate"), (1, 1), 2, SIZE, 5, generator=str(generator), effects=("noise",))
    assert {made.lane(0).effects for made in BatchMaker(config).made.values()} == {("noise",)}


def test_each_hand_is_translated_once(generator):
    translator, seen = Translator.from_file(generator), []
    counting = Translator(lambda pictures: seen.append(len(pictures)) or translator.painted(pictures), SIZE)
    sampler = TranslatedSampler(counting, 3, SIZE, backgrounds=Backgrounds(), reuse=4, cache=3)
    plain = RenderSampler(3, SIZE, backgrounds=Backgrounds(), reuse=4, cache=3)
    for index in range(8):
        item, other = sampler.sample(index), plain.sample(index)
        np.testing.assert_array_equal(item.joints_px, other.joints_px)
        np.testing.assert_array_equal(item.joints_rel, other.joints_rel)
        assert (item.image != other.image).any()
    assert sum(seen) <= 8


def test_a_mix_has_both_and_follows_its_seed(generator):
    config = StreamConfig(("render", "ganerate"), (0.5, 0.5), 8, SIZE, 5, generator=str(generator))
    first, again = BatchMaker(config).batch(2), BatchMaker(config).batch(2)
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name])
    only = StreamConfig(("render",), (1.0,), 8, SIZE, 5)
    assert (first["image"] != BatchMaker(only).batch(2)["image"]).any()
    assert set(BatchMaker(config).made) == {"render", "ganerate"}
    items = RenderItems(5, SIZE, Backgrounds(), translator=Translator.from_file(generator))
    item = items.item(0, 3, np.random.default_rng(1))
    assert item["image"].shape == (SIZE, SIZE, 3) and set(item) == set(first)


def test_libhands_hands_are_a_source_of_their_own(shared_data):
    batches = [BatchMaker(StreamConfig((source,), (1.0,), 16, SIZE, 5)).batch(2) for source in ("render", "libhand")]
    assert set(batches[0]) == set(batches[1])
    assert batches[1]["known_3d"].any() and (batches[0]["image"] != batches[1]["image"]).any()


@pytest.mark.parametrize("word", ["libhand", "ganerate"])
def test_nothing_is_tested_on_what_is_there_to_train(word):
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    with pytest.raises(HandposeError, match=f"--i {word}: hands to train on; those to test on are --i render"):
        evaluate.run(parser.parse_args(["--i", word]))


def test_a_missing_libhand_is_told_before_anything_begins(tmp_path, monkeypatch):
    monkeypatch.setattr("handpose.synthesis.libhand.shared_data", lambda: None)
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    with pytest.raises(HandposeError, match="libhand: no shared data with this hand"):
        train.run(parser.parse_args(["--i", "libhand", "--o", str(tmp_path / "run")]))
    assert not (tmp_path / "run").exists()


def test_a_missing_translator_is_told_before_anything_begins(tmp_path):
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    missing = tmp_path / "none.onnx"
    args = parser.parse_args(["--i", "ganerate", "--generator", str(missing), "--o", str(tmp_path / "run")])
    with pytest.raises(HandposeError, match=r"none.onnx: no translator there; make one with geocongan train"):
        train.run(args)
    assert not (tmp_path / "run").exists()
