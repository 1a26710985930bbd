"""`handpose inspect`: counts beside the published ones, all broken files, ranges over valid joints, tiles of every kind of sample."""

import json
import pickle
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import test_dexter
import test_freihand
import test_ganerated
import test_interhand
import test_json_labels
import test_panoptic
import test_real_hands
import test_rhd
import test_stb
import test_synth_hands
from tests_data import write_photo_set

from handpose.camera import Camera
from handpose.cli import main
from handpose.data import READERS, inspect, open_dataset
from handpose.data.broken import Broken, BrokenFiles
from handpose.data.published import PUBLISHED, compared
from handpose.data.sample import Sample
from handpose.errors import HandposeError
from handpose.images import read_image


def write_real_hands(root):
    test_real_hands.write_frame(root)
    test_real_hands.write_frame(root, number=2)


WRITERS = {
    "photos": write_photo_set,
    "json_labels": test_json_labels.write,
    "synth_hands": test_synth_hands.write,
    "ganerated": test_ganerated.write_released,
    "real_hands": write_real_hands,
    "rhd": lambda root: test_rhd.write(root, {0: test_rhd.labels(), 7: test_rhd.labels()}),
    "stb": test_stb.write,
    "dexter": test_dexter.write_object,
    "freihand": test_freihand.write_set,
    "interhand": test_interhand.released,
    "panoptic": test_panoptic.write_dome,
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder for the dataset, beside the working folder that gets the contact sheet."""
    (tmp_path / "out").mkdir()
    (tmp_path / "set").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    return tmp_path / "set"


def inspected(folder, capsys, *words, code=0):
    """Run the command; give what it prints and its contact sheet, or None."""
    capsys.readouterr()
    assert main(["inspect", "--i", str(folder), "--o", "sheet.png", *words]) == code
    said = capsys.readouterr()
    if code:
        assert len(said.err.splitlines()) == 1 and "listed above" in said.err
    sheet = folder.parent / "out" / "sheet.png"
    return said.out, read_image(sheet) if sheet.is_file() else None


def test_every_reader_has_a_writer_here():
    assert set(WRITERS) == set(READERS)


@pytest.mark.parametrize("reader", READERS)
def test_every_dataset_is_counted_and_shown(here, capsys, reader):
    WRITERS[reader](here)
    dataset = open_dataset(here)
    said, sheet = inspected(here, capsys)
    assert f"{dataset.name}: {len(dataset)} hands, {len(dataset)} of them read" in said
    if reader not in (
        "freihand",
        "ganerated",
        "interhand",
        "synth_hands",
    ):  # their fixtures' joints are drawn at random
        assert "odd labels: 0" in said
    assert "broken files: 0" in said and "nan" not in said
    assert ("publish" in said) == (reader not in ("photos", "json_labels"))
    rows = -(-min(len(dataset), 48) // 8)
    assert sheet.shape == (160 * rows, 1280, 3) and sheet[:160, :160].max() > 100


def test_published_names_are_those_of_the_readers(here):
    for reader in set(READERS) - {"photos", "json_labels"}:
        folder = here / reader
        folder.mkdir()
        WRITERS[reader](folder)
        assert open_dataset(folder).name in PUBLISHED
    assert sum(PUBLISHED["GANerated"].parts.values()) == 331_499
    assert sum(PUBLISHED["SynthHands"].parts.values()) == 185_634


def test_pictures_are_compared_with_the_published_ones_by_part(tmp_path):
    names = [f"training/{i:05d} left" for i in range(3)] + ["evaluation/00000"]
    lines = compared("RHD", tmp_path, names)
    assert lines[:2] == [
        "training: 3 of 41,258 published pictures, 41,255 too few",
        "evaluation: 1 of 2,728 published pictures, 2,727 too few",
    ]
    whole = compared("EgoDexter-corrected", tmp_path, map(str, range(1485)))
    assert whole[0] == "all: 1,485 of 1,485 published pictures"
    assert "1 too many" in compared("EgoDexter", tmp_path, map(str, range(1486)))[0]
    # Counts in thousands, or of frames with and without labels, find nothing missing.
    assert (
        compared("InterHand2.6M", tmp_path, ["images/val/a"])[1] == "images/val: 1 of about 380,000 published pictures"
    )
    assert compared("Dexter+Object", tmp_path, ["a"])[0] == "all: 1 of about 3,014 published pictures"
    male = compared("SynthHands", tmp_path, ["SynthHands_Release/female_object/seq01/cam01/01/00000000"])
    assert male[1].startswith("female_object: 1 of") and male[3].startswith("male_object: 0 of")
    # A folder may be one part of a release.
    assert compared("GANerated", tmp_path / "noObject", ["0001/0001"])[0].startswith("noObject: 1 of 143,449")
    assert compared("sign_digits", tmp_path, ["a.jpg"]) == []


def test_what_is_read_can_be_told(here, capsys):
    test_stb.write(here)
    said, _ = inspected(here, capsys, "--read", "views=SK_color", "wrist=palm")
    assert "STB: 3 hands" in said and "BB_left: 0 of 18,000" in said and "SK_color: 3 of 18,000" in said
    assert main(["inspect", "--i", str(here), "--read", "wrist=thumb"]) == 1
    assert "--read wrist=thumb: stb is read with views=all|" in capsys.readouterr().err


def test_two_hands_of_a_picture_are_one_picture(here, capsys):
    test_interhand.released(here)
    said, _ = inspected(here, capsys)
    assert "images/train: 1 of about 1,361,000" in said


def test_all_files_that_are_missing_are_listed(here, capsys):
    folder = test_stb.write(here)
    test_stb.write(here, "B2Random")
    for name in ("BB_left_0.png", "BB_left_2.png", "SK_color_1.png"):
        (folder / name).unlink()
    (here / "images" / "B2Random" / "BB_right_1.png").unlink()
    said, sheet = inspected(here, capsys, code=1)
    for name in ("BB_left_0", "BB_left_2", "SK_color_1", "BB_right_1"):
        assert f"{name}.png: missing" in said
    assert "broken files: 4" in said and sheet is None
    with pytest.raises(HandposeError, match=r"BB_left_0.png: missing.*\(and 3 more; `handpose inspect` lists all\)$"):
        open_dataset(here)


@pytest.mark.parametrize(
    ("reader", "files"),
    [
        ("synth_hands", ["00000000_color.png", "00000001_joint_pos.txt"]),
        ("ganerated", ["0001_joint2D.txt", "0002_crop_params.txt"]),
        ("real_hands", ["image_1_color.png", "image_2_color.png"]),
        ("rhd", ["color/00000.png", "color/00007.png"]),
        ("dexter", ["image_00000_color.png", "image_00002_color.png"]),
        ("freihand", ["training/rgb/00000001.jpg", "training/rgb/00000003.jpg"]),
        ("panoptic", ["imgs/00000000.jpg", "imgs/00000001.jpg"]),
        ("photos", ["images/0.png", "images/3.png"]),
        ("json_labels", ["one.png", "two_mask.png"]),
    ],
)
def test_every_reader_names_all_missing_files(here, reader, files):
    if reader == "dexter":
        test_dexter.write_ego(here)
    else:
        WRITERS[reader](here)
    if reader == "synth_hands":
        test_synth_hands.write(here, 1)
    if reader == "ganerated":
        test_ganerated.write_released(here, number="0002")
    for file in files:
        next(here.rglob(file)).unlink()
    if reader == "real_hands":
        test_real_hands.write_frame(here, number=3)
    with pytest.raises(BrokenFiles) as caught:
        open_dataset(here)
    assert len(caught.value.lines) == 2 and len(str(caught.value).splitlines()) == 1


def test_broken_labels_of_one_file_are_all_listed(here, capsys):
    good, bad, worse = test_rhd.labels(), test_rhd.labels(), test_rhd.labels()
    bad["xyz"][3] = np.nan
    del worse["K"]
    folder = test_rhd.write(here, {0: good, 1: bad, 2: worse})
    (folder / "color" / "00000.png").unlink()
    said, _ = inspected(here, capsys, code=1)
    assert "picture 1: not all numbers of xyz are finite" in said and "picture 2: no K" in said
    assert "00000.png: missing" in said


def test_broken_pictures_masks_and_labels_are_listed_and_the_rest_is_shown(here, capsys):
    frames = [test_synth_hands.write(here, index) for index in range(4)]
    (frames[0].parent / "00000000_color.png").write_bytes(b"\x89PNG")
    (frames[1].parent / "00000001_mask.png").write_bytes(b"")
    (frames[2].parent / "00000002_joint_pos.txt").write_text("nan, " * 63)
    said, sheet = inspected(here, capsys, code=1)
    for name in ("00000000_color.png", "00000001_mask.png", "00000002_joint_pos.txt"):
        assert sum(name in line for line in said.splitlines()) == 1
    assert "SynthHands: 4 hands, 1 of them read" in said and sheet[:160, :160].max() > 100


def test_fingertips_alone_are_measured_and_drawn(here, capsys):
    labels = test_dexter.write_ego(here)
    for tip in (0, 2, 3, 4):
        test_dexter.change(labels, 1, tip, "0,0,0")
    said, sheet = inspected(here, capsys)
    tips = test_dexter.tips_mm(0) @ test_dexter.EGO_MATRIX[:, :3].T
    assert len(tips) == 5 and "bones" not in said and "nan" not in said
    assert "joints in the picture [px]: x" in said and "joints [mm]: x" in said
    tile = sheet[:160, 160:320].astype(int)
    assert np.ptp(tile, axis=-1).max() > 60  # a coloured joint in a picture of black and white
    middle = np.argwhere(np.ptp(tile, axis=-1) > 60).mean(0)
    np.testing.assert_allclose(middle, 80, atol=4)


def test_bones_are_measured_where_both_ends_are_valid(here, capsys):
    valid = np.ones(42, int)
    valid[test_interhand.RELEASED.index(6)] = 0  # I1 of the right hand
    right, left = test_interhand.hand(), test_interhand.hand()
    test_interhand.released(here)
    release = test_interhand.Release(here)
    release.add(right, left, "right", valid)
    for file in (here / "annotations").rglob("*.json"):
        file.unlink()
    release.write()
    said, _ = inspected(here, capsys)
    assert "I0-I1" not in said and "I1-I2" not in said
    length = np.linalg.norm(right[7] - right[8])
    assert f"I2-I3: {length:.1f} to {length:.1f} ({length:.1f})" in said


def test_samples_without_joints_show_the_picture_and_the_outline_of_the_mask(here, capsys):
    test_real_hands.write_frame(here)
    said, sheet = inspected(here, capsys)
    assert "1 samples have no valid joint" in said and "joints in the picture" not in said
    tile = sheet[:, :160]
    assert not tile[:19].any() and not tile[-19:].any()  # 64x48 pixels between two bands
    assert (tile[82] == (0, 255, 0)).all(-1).sum() >= 2  # left and right border of the hand
    np.testing.assert_allclose(tile[80, 90], (220, 160, 120), atol=6)


def test_samples_that_cannot_be_right_are_odd(here):
    joints_mm = np.tile([0.0, 0, 500], (21, 1))
    joints_mm[9, 1] = 30
    joints_mm[4] = np.nan
    joints_px = np.full((21, 2), 50.0)
    joints_px[2], joints_px[3] = (np.nan, 1), (5000, 50)
    valid = np.ones(21, bool)
    sample = Sample("x", lambda: np.zeros((1, 1, 3), np.uint8), joints_px, valid, joints_mm)
    odd = inspect._oddities(sample, np.zeros((100, 100, 3), np.uint8), np.zeros((100, 100), np.uint8))
    assert odd == [
        "valid, but no finite number of px: T1",
        "valid, but no finite number of mm: T3",
        "a joint is far outside the picture",
        "|W-M0| is 30 mm, expected 40 to 200",
        "its mask is empty",
    ]
    valid[[2, 3, 4, 9]] = False
    mask = np.full((100, 90), 255, np.uint8)
    odd = inspect._oddities(sample, np.zeros((100, 100, 3), np.uint8), mask)
    assert odd == ["its mask has 90x100 pixels, its picture 100x100"]


def test_joints_in_mm_that_are_elsewhere_than_those_in_px_are_odd():
    """As where someone has corrected the joints of a track file and left the hand in space as it was."""
    camera, image = Camera.from_fov((400, 300)), np.zeros((300, 400, 3), np.uint8)
    joints_mm = np.array([0.0, 0, 500]) + np.random.default_rng(0).uniform(-60, 60, (21, 3))
    joints_mm[9] = joints_mm[0] + (0, 90, 0)
    for off, said in ((2, []), (60, ["joints in mm lie 60 px from those in px on average"])):
        joints_px = camera.project(joints_mm) + (off, 0)
        sample = Sample("x", lambda: image, joints_px, np.ones(21, bool), joints_mm, camera=camera)
        assert inspect._oddities(sample, image, None) == said


def test_pictures_that_the_reader_left_out_are_printed(here, capsys):
    folder = here / "hand_labels_synth" / "synth1"
    test_panoptic.write_beside(folder, "0001")
    empty = test_panoptic.write_beside(folder, "0002")
    empty.write_text(json.dumps({"hand_pts": 0, "is_left": 1}))
    said, _ = inspected(here, capsys)
    assert "left out, no usable joint: 1" in said and "0002.jpg" in said


def test_a_sparse_look(here, capsys):
    write_photo_set(here, 20)
    said, sheet = inspected(here, capsys, "--n", "3")
    assert "20 hands, 3 of them read" in said and sheet.shape == (160, 1280, 3)
    assert main(["inspect", "--i", str(here), "--n", "-1"]) == 1


@pytest.mark.parametrize(
    ("sheet", "told"), [("none/x.png", "none: no such folder"), ("x.xyz", "end it in .jpg or .png")]
)
def test_a_sheet_that_cannot_be_written_is_told_before_the_work(here, capsys, monkeypatch, sheet, told):
    write_photo_set(here, 3)
    monkeypatch.setattr(inspect, "_look", lambda dataset, n: pytest.fail("it looked"))
    assert main(["inspect", "--i", str(here), "--o", sheet]) == 1
    assert told in capsys.readouterr().err


def test_the_sheet_is_named_after_the_dataset(here):
    test_panoptic.write_dome(here)
    assert main(["inspect", "--i", str(here)]) == 0
    assert (here.parent / "out" / "CMU_Panoptic_hands_inspect.png").is_file()


def test_only_readable_errors_are_noted():
    broken = Broken()
    with broken:
        raise HandposeError("one")
    with broken:
        raise BrokenFiles(["two", "three"])
    with pytest.raises(KeyError), broken:
        raise KeyError("a mistake of ours")
    with pytest.raises(BrokenFiles, match=r"^one \(and 2 more") as caught:
        broken.check()
    assert caught.value.lines == ("one", "two", "three")
    handed_on = pickle.loads(pickle.dumps(caught.value))
    assert (handed_on.lines, str(handed_on)) == (caught.value.lines, str(caught.value)), "as a worker's error is"
    Broken().check()


def test_a_hostile_pickle_is_one_broken_file(here, capsys):
    folder = test_rhd.write(here, {0: test_rhd.labels()})
    (folder / "anno_training.pickle").write_bytes(pickle.dumps(cv2.circle))
    said, _ = inspected(here, capsys, code=1)
    assert "anno_training.pickle" in said and "broken files: 1" in said


def test_every_published_dataset_has_its_section():
    readme = (Path(__file__).resolve().parents[1] / "datasets" / "README.md").read_text()
    sections = re.split(r"\n## ", readme)[1:]
    for name in (*PUBLISHED, "Photo sets"):
        section = next(section for section in sections if section.startswith(name))
        assert "```\n" in section and ("handpose inspect --i" in section or name == "Photo sets")
