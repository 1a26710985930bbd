"""Translation end to end with an untrained translator: the layout, the labels, what is behind and before the hand, and going on."""

import json

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from geocongan.cli import main
from geocongan.networks import build_generator
from geocongan.prepare import MARGIN
from geocongan.translate import Composer, crop_of, laid_out
from handpose.crop import Crop
from handpose.data import ganerated, open_dataset, synth_hands
from handpose.data.ganerated import COLOUR_CAMERA
from handpose.synthesis.backgrounds import Backgrounds
from handpose.synthesis.render import HandRenderer


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
    assert "2 of 2 frames" in printed and "2 of 4 frames" in printed and "enlarged from 64" in printed
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
    dotted = np.zeros((128, 128, 4), np.uint8)
    x, y = crop.to_crop(sample.joints_px)[8].round().astype(int)
    dotted[y - 1 : y + 2, x - 1 : x + 2] = 255
    corner, scale = crop_of(sample.joints_px)
    rows, columns = np.nonzero(laid_out(dotted, crop, corner, scale)[..., 3] > 60)
    place = (sample.joints_px[8] - corner) * scale
    np.testing.assert_allclose((columns.mean(), rows.mean()), place, atol=1.5)


def test_a_composition_follows_its_number_and_keeps_the_hand():
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[16:48, 16:48] = (200, 150, 120, 255)
    joints = np.full((21, 2), 32.0)
    plain = Composer(1, objects=0.0, camera=False, backgrounds=Backgrounds())
    first, with_object = plain(5, picture, joints)
    assert not with_object
    np.testing.assert_array_equal(first, plain(5, picture, joints)[0])
    np.testing.assert_array_equal(first[20:44, 20:44], picture[20:44, 20:44, :3])
    assert (first[:10] != plain(6, picture, joints)[0][:10]).any()
    covered, with_object = Composer(1, objects=1.0, camera=False, backgrounds=Backgrounds())(5, picture, joints)
    assert with_object and (covered != first).any()


def test_what_cannot_be_translated_is_told(renders, weights, tmp_path, capsys):
    missing = ["translate", "--i", str(renders), "--o", str(tmp_path), "--weights", str(tmp_path / "none.weights.h5")]
    assert main(missing) == 1
    assert "none.json" in capsys.readouterr().err
    assert main([*missing[:-1], str(weights), "--objects", "3"]) == 1
    assert "--objects" in capsys.readouterr().err
