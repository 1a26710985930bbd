"""Translation end to end with an untrained translator: the layout, the labels, what is behind and before the hand, and going on."""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
from geocongan_data import write_prepared

keras = pytest.importorskip("keras")

from geocongan.cli import main
from geocongan.domains import DomainBatches, DomainConfig, before_chroma
from geocongan.networks import build_generator
from geocongan.translate import Composer, crop_of, laid_out
from handpose.atomic import unfinished
from handpose.crop import Crop
from handpose.data import ganerated, open_dataset, synth_hands
from handpose.data.files import beside
from handpose.data.ganerated import COLOUR_CAMERA
from handpose.synthesis.backgrounds import Backgrounds
from handpose.synthesis.compose import EFFECTS
from handpose.synthesis.foreground import straight
from handpose.synthesis.render import HandRenderer
from handpose.synthesis.translated import MARGIN


@pytest.fixture(scope="module")
def renders(tmp_path_factory):
    folder, renderer = tmp_path_factory.mktemp("renders"), HandRenderer(3)
    for index in range(4):
        synth_hands.write(synth_hands.frame_path(folder, index), *renderer.frame(index))
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    keras.utils.set_random_seed(0)
    build_generator(64, 4, 1).save_weights(folder / "synth2real_best.weights.h5")
    (folder / "config.json").write_text(json.dumps({"size": 64, "filters": 4, "blocks": 1}))
    return folder


def test_labels_come_back_exactly(renders, weights, tmp_path, capsys):
    command = ["translate", "--i", str(renders), "--o", str(tmp_path / "out"), "--weights", str(weights)]
    assert main([*command, "--n", "2"]) == 0
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "2 of 2 frames" in printed and "2 of 4 frames" in printed and "resized from the translator's 64" in printed
    source, written = open_dataset(renders), ganerated.read(tmp_path / "out")
    assert len(written) == 4
    found = sorted((written[i].joints_mm for i in range(4)), key=lambda joints: joints[0, 0])
    wanted = sorted((source[i].joints_mm for i in range(4)), key=lambda joints: joints[0, 0])
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    for i in range(4):
        sample = written[i]
        np.testing.assert_allclose(sample.joints_px, sample.camera.project(sample.joints_mm), atol=1e-2)
        x, y = np.clip(sample.joints_px.round().astype(int), 0, 255).T
        assert (sample.mask[y, x] > 127).mean() > 0.7, "joints lie on the hand"


def test_a_picture_lands_where_its_joints_do(renders):
    sample = open_dataset(renders)[0]
    crop = Crop.from_joints(COLOUR_CAMERA, sample.joints_px, 128, MARGIN)
    after = np.full((128, 128, 4), 255, np.uint8)
    x, y = crop.to_crop(sample.joints_px)[8].round().astype(int)
    after[y - 1 : y + 2, x - 1 : x + 2, :2] = 0
    corner, scale = crop_of(sample.joints_px, 256)
    whole = laid_out(np.full((480, 640, 4), 255, np.uint8), crop, after, corner, scale, 256)
    rows, columns = np.nonzero(whole[..., 0] < 160)
    place = (sample.joints_px[8] - corner) * scale
    np.testing.assert_allclose((columns.mean(), rows.mean()), place, atol=1.5)


def test_the_silhouette_is_the_render_s_own(renders, weights, tmp_path):
    """Resampled once, as sharp as it was, and aligned with the labels, whatever the translator's size."""
    command = ["translate", "--i", str(renders), "--o", str(tmp_path / "out"), "--weights", str(weights)]
    assert main([*command, "--n", "1", "--effects", "--objects", "0", "--size", "128"]) == 0
    source, written = open_dataset(renders)[0], ganerated.read(tmp_path / "out")[0]
    assert written.image.shape == (128, 128, 3) and written.camera.size_px == (128, 128)
    corner, scale = crop_of(source.joints_px, 128)
    moved = cv2.warpAffine(
        source.mask, np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]]), (128, 128)
    )
    assert np.abs(written.mask.astype(int) - moved).max() <= 1
    np.testing.assert_allclose(written.joints_px, written.camera.project(written.joints_mm), atol=1e-2)


def test_a_composition_follows_its_number_and_keeps_the_hand():
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[16:48, 16:48] = (200, 150, 120, 255)
    joints = np.full((21, 2), 32.0)
    plain = Composer(1, objects=0.0, effects=(), backgrounds=Backgrounds())
    first, with_object = plain(5, picture, joints)
    assert not with_object
    np.testing.assert_array_equal(first, plain(5, picture, joints)[0])
    np.testing.assert_array_equal(first[20:44, 20:44], picture[20:44, 20:44, :3])
    assert (first[:10] != plain(6, picture, joints)[0][:10]).any()
    covered, with_object = Composer(1, objects=1.0, effects=(), backgrounds=Backgrounds())(5, picture, joints)
    assert with_object and (covered != first).any()


def test_what_cannot_be_translated_is_told(renders, weights, tmp_path, capsys):
    missing = ["translate", "--i", str(renders), "--o", str(tmp_path), "--weights", str(tmp_path / "none.weights.h5")]
    assert main(missing) == 1
    assert "none.json" in capsys.readouterr().err
    assert main([*missing[:-1], str(weights), "--objects", "3"]) == 1
    assert "--objects" in capsys.readouterr().err
    assert main([*missing[:-1], str(weights), "--workers", "2"]) == 1
    assert "--workers is for a cluster" in capsys.readouterr().err


def test_what_a_killed_command_left_half_written_is_done_anew(renders, weights, tmp_path):
    command = ["translate", "--i", str(renders), "--o", str(tmp_path), "--weights", str(weights), "--objects", "0"]
    assert main([*command, "--n", "2"]) == 0
    whole = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    frame = ganerated.frame_path(tmp_path, 1)
    beside(frame, "_joint_pos_global.txt").unlink()
    unfinished(beside(frame, "_mask.png")).write_bytes(b"half a picture")
    assert main([*command, "--n", "2"]) == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == whole


def test_a_folder_is_gone_on_with_as_it_was_begun(renders, weights, tmp_path, capsys):
    """Anything that the pictures depend on is kept, the weights by what they are; nothing is written where it differs."""
    out, same = tmp_path / "out", tmp_path / "same.weights.h5"
    shutil.copy(weights / "synth2real_best.weights.h5", same)
    shutil.copy(weights / "config.json", tmp_path / "same.json")
    begun = {"--i": str(renders), "--o": str(out), "--weights": str(weights), "--objects": "0", "--n": "1"}

    def translate(**other):
        words = begun | {f"--{name}": value for name, value in other.items()}
        return main(["translate", *(word for pair in words.items() for word in pair)])

    assert translate() == 0 and translate(weights=str(same)) == 0
    written = {path: path.read_bytes() for path in out.rglob("*.*")}
    keras.utils.set_random_seed(1)
    build_generator(64, 4, 1).save_weights(same)
    others = {
        "objects": "1",
        "seed": "1",
        "size": "128",
        "effects": "noise",
        "i": str(renders / "seq01"),
        "weights": str(same),
    }
    for name, value in others.items():
        capsys.readouterr()
        assert translate(**{name: value}) == 1
        assert f"begun with other settings ({name}); choose another --o" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == written


def test_hands_that_hold_things_are_not_translated(renders, weights, tmp_path, capsys):
    release = tmp_path / "SynthHands_Release"
    for kind in ("female_noobject", "female_object"):
        shutil.copytree(renders / "seq01", release / kind / "seq01")
    options = ["--weights", str(weights), "--o", str(tmp_path / "out")]
    assert main(["translate", "--i", str(release), *options, "--objects", "0", "--n", "5"]) == 0
    assert "4 of 4 frames to translate" in capsys.readouterr().out
    assert main(["translate", "--i", str(release / "female_object"), *options]) == 1
    assert "only hands with objects" in capsys.readouterr().err


def test_effects_of_the_camera_come_after_compositing_and_are_chosen():
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[16:48, 16:48] = (200, 150, 120, 255)
    joints = np.full((21, 2), 32.0)

    def seen(*effects):
        composer = Composer(1, objects=0.0, effects=effects, backgrounds=Backgrounds())
        return np.stack([composer(number, picture, joints)[0] for number in range(12)]).astype(int)

    plain = seen()
    for effect in EFFECTS:
        changed = (seen(effect) != plain).any((1, 2, 3))
        assert 0.1 < changed.mean() <= 1, effect
    grain = (seen("noise") - plain)[:, 20:44, 20:44].std((1, 2, 3))
    assert grain.max() > 1, "noise lies on the hand as on the ground"


def test_a_hand_off_its_green_has_no_green_rim(renders):
    """The release's keyed masks lose their outermost pixel, our own soft ones are unmixed."""
    sample = open_dataset(renders)[0]
    soft = before_chroma(sample)
    hard = before_chroma(replace(sample, load_mask=lambda: np.where(sample.mask > 0, 255, 0).astype(np.uint8)))
    for picture in (soft, hard):
        rim = (picture[..., 3] > 40) & (cv2.erode(picture[..., 3], np.ones((5, 5), np.uint8)) < 255)
        red, green, blue = np.moveaxis(straight(picture)[rim][:, :3].astype(int), -1, 0)
        assert (green - np.maximum(red, blue) > 40).mean() < 0.02
    np.testing.assert_array_equal(soft[..., 3], sample.mask)
    assert (hard[..., 3] > 0).sum() < (sample.mask > 0).sum()


def test_training_takes_a_folder_of_renders(renders, tmp_path):
    config = DomainConfig(str(renders), str(write_prepared(tmp_path / "real")), 64, 3)
    first, again = DomainBatches(config).batch(2), DomainBatches(config).batch(2)
    np.testing.assert_array_equal(first["synthetic"], again["synthetic"])
    mask = first["synthetic_mask"][..., 0]
    assert first["synthetic"].shape == (3, 64, 64, 3) and (mask.mean((1, 2)) > 0.05).all()
    assert np.median(first["synthetic"][mask == 0]) > 0.98, "it lies on white"
    red, green, _ = np.moveaxis(first["synthetic"][mask == 1], -1, 0)
    assert (green > red + 0.3).mean() < 0.01, "and nothing of its green is left"
