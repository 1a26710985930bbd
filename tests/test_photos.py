"""Photo sets: labels come back as written, broken ones are named, and people held out stay out."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image
from tests_data import write_photo_set

from handpose.data import open_dataset, photos
from handpose.data.cutout import hand_alpha
from handpose.errors import HandposeError
from handpose.images import fov_deg, read_image
from regnet.labelled import open_split


def write_set(folder, labels, file_name="pseudo_labels.json"):
    (folder / "images").mkdir(parents=True)
    names = labels if isinstance(labels, dict) else {item["file"] for item in labels}
    for name in names:
        cv2.imwrite(str(folder / "images" / name), np.full((40, 60, 3), (10, 20, 200), np.uint8))
    content = labels if isinstance(labels, dict) else {"items": labels}
    (folder / file_name).write_text(json.dumps(content))
    return folder


def hand(side="left", offset=0.0):
    return {"side": side, "joints_px": (np.arange(42).reshape(21, 2) + offset).tolist()}


def test_pseudo_labels(tmp_path):
    folder = write_set(tmp_path / "some_set", {"a.png": [hand(), hand("right", 3)], "b.png": [], "c.png": [hand()]})
    assert photos.recognises(folder)
    data = photos.read(folder)
    assert len(data) == 3 and len(data.photos) == 3
    assert [photo.complete for photo in data.photos] == [True, False, False]
    same = photos.read(write_set(tmp_path / "two_people", {"a.png": [hand("right"), hand("right", 30)]}))
    assert not same.photos[0].complete, "of several people's hands two are labelled, or one twice"
    sample = data[1]
    assert sample.side == "right" and sample.valid.all() and sample.name == "a.png"
    np.testing.assert_array_equal(sample.joints_px, np.arange(42).reshape(21, 2) + 3)
    np.testing.assert_array_equal(sample.image[0, 0], (200, 20, 10))


def test_annotations_keep_validity(tmp_path):
    joints = np.column_stack([np.arange(42).reshape(21, 2), np.ones(21)])
    joints[4, 2] = 0
    folder = write_set(tmp_path / "s", [{"file": "a.png", "joints": joints.tolist(), "hand": None}], "annotations.json")
    sample = photos.read(folder)[0]
    assert sample.side is None and not sample.valid[4] and sample.valid.sum() == 20


def test_joints_lie_on_the_hands_that_are_drawn(tmp_path):
    data = photos.read(write_photo_set(tmp_path / "sticks", 3))
    for sample in data:
        column, row = sample.joints_px.astype(int).T
        shown = (column >= 0) & (row >= 0) & (column < 200) & (row < 160)
        np.testing.assert_array_equal(sample.image[row[shown], column[shown]], [(230, 160, 120)] * shown.sum())
        assert shown.sum() > 15 and (sample.image == (230, 160, 120)).all(-1).mean() < 0.3


def test_people_are_held_out_of_a_set_that_is_the_working_folder(tmp_path, monkeypatch):
    folder = write_set(tmp_path / "sign_digits", {"a__IMG_4507.png": [hand()], "b__IMG_1000.png": [hand()]})
    whole = photos.read(folder, "held_out")
    monkeypatch.chdir(folder)
    for here in (".", "images/.."):
        found = photos.read(Path(here), "held_out")
        assert (found.name, len(found)) == (whole.name, len(whole)) == ("sign_digits", 1)
        assert open_split(Path(here), "train").samples.name == open_dataset(here).name == "sign_digits"


def test_split_by_person(tmp_path):
    names = [
        "0__IMG_4506.jpg",
        "9__IMG_5591.jpg",
        "5__IMG_4501.jpg",
        "7__IMG_5599.jpg",
        "8__IMG_5600.jpg",
        "0__IMG_1118.jpg",
    ]
    folder = write_set(tmp_path / "sign_digits", {name: [hand()] for name in names})
    held_out, train = photos.read(folder, "held_out"), photos.read(folder, "train")
    assert {photo.path.name for photo in held_out.photos} == set(names[:2])
    assert {photo.path.name for photo in train.photos} == set(names[2:])


@pytest.mark.parametrize(
    "broken",
    [
        '{"a.png": [{"side": "left"}]}',
        '{"a.png": [{"side": "left", "joints_px": [[1, 2]]}]}',
        '{"a.png": [{"side": "both", "joints_px": ' + json.dumps(hand()["joints_px"]) + "}]}",
        '{"a.png": [{"side": "left", "joints_px": ' + json.dumps([[float("nan")] * 2] * 21) + "}]}",
        "[1",
    ],
)
def test_broken_labels_name_the_file(tmp_path, broken):
    folder = write_set(tmp_path / "s", {"a.png": [hand()]})
    (folder / "pseudo_labels.json").write_text(broken)
    with pytest.raises(HandposeError, match="pseudo_labels.json"):
        photos.read(folder)


@pytest.mark.parametrize(
    ("focal_mm", "turned", "fov"),
    [(26, False, 67.3), (26, True, 53.1), (50, False, 38.2), (0, False, None), (None, False, None)],
)
def test_the_field_of_view_comes_from_the_focal_length_of_film(tmp_path, focal_mm, turned, fov):
    """26 mm, a phone's, on 4:3: 43.27 mm of diagonal are 34.6 mm across, so 2 atan(34.6 / 52)."""
    exif = Image.Exif()
    if focal_mm is not None:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = focal_mm
    exif[ExifTags.Base.Orientation] = 6 if turned else 1
    Image.new("RGB", (80, 60)).save(tmp_path / "a.jpg", exif=exif)
    assert fov_deg(tmp_path / "a.jpg") == (fov and pytest.approx(fov, abs=0.1))
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    assert fov_deg(tmp_path / "b.jpg") is None


def test_missing_pictures_and_labels_are_named(tmp_path):
    folder = write_set(tmp_path / "s", {"a.png": [hand()]})
    (folder / "images" / "a.png").unlink()
    with pytest.raises(HandposeError, match="a.png"):
        photos.read(folder)
    with pytest.raises(HandposeError, match="no pseudo_labels.json"):
        photos.read(tmp_path)


def test_pictures_of_all_kinds_are_read(tmp_path):
    deep = np.full((6, 8), 32768, np.uint16)
    rgba = np.full((6, 8, 4), 128, np.uint8)
    for name, image in {"deep.png": deep, "grey.png": rgba[..., 0], "rgba.png": rgba}.items():
        cv2.imwrite(str(tmp_path / name), image)
        read = read_image(tmp_path / name)
        assert read.shape == (6, 8, 3) and read.dtype == np.uint8
        assert abs(int(read[0, 0, 0]) - 128) <= 1, name


def test_unreadable_pictures_are_named(tmp_path):
    (tmp_path / "torn.jpg").write_bytes(cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8))[1].tobytes()[:300])
    (tmp_path / "text.png").write_text("hello")
    for name in ("torn.jpg", "text.png", "none.png"):
        with pytest.raises(HandposeError, match=name):
            read_image(tmp_path / name)


@pytest.mark.parametrize(("place", "value"), [(29, 0), (31, 1)])
def test_a_damaged_exif_costs_no_more_than_itself(tmp_path, place, value):
    """The rotation is still readable; the tag after it, of a type or a count that it cannot have, makes Pillow fail."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.XResolution] = 6, 72
    whole = exif.tobytes()
    Image.new("RGB", (8, 6), (250, 0, 0)).save(tmp_path / "a.jpg", exif=whole)
    damaged = bytearray(whole)
    damaged[place] = value
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes().replace(whole, damaged))
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == (8, 6, 3) and (image[..., 0] > 240).all()


def test_an_error_of_any_kind_is_told_of_the_file(tmp_path, monkeypatch):
    def fail(*options):
        raise ZeroDivisionError("float division by zero")

    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "convert", fail)
    with pytest.raises(HandposeError, match=r"a.png: not a readable picture \(float division by zero\)"):
        read_image(tmp_path / "a.png")


def test_real_sets_have_their_published_counts(shared_data):
    counts = {
        "sign_digits": 2052,
        "rps_greenscreen": 2112,
        "asl_letters": 631,
        "hands_subhih": 1674,
        "hands_dguzk": 427,
    }
    for name, count in counts.items():
        assert len(photos.read(shared_data / "real" / name)) == count
    assert len(photos.read(shared_data / "real" / "annotated_small")) == 27


@pytest.mark.parametrize("name", ["rps_greenscreen", "sign_digits"])
def test_cut_outs_hold_the_joints(shared_data, name):
    """On an easy ground, nearly every labelled joint lies on the silhouette, which leaves most of the picture free."""
    data = photos.read(shared_data / "real" / name)
    on_hand, covered = [], []
    for index in range(0, len(data), len(data) // 20):
        sample = data[index]
        alpha = hand_alpha(sample.image, name)
        x, y = np.clip(sample.joints_px.round().astype(int), 0, np.array(alpha.shape[::-1]) - 1).T
        on_hand.append((alpha[y, x] > 127).mean())
        covered.append((alpha > 127).mean())
    assert np.mean(on_hand) > 0.9 and 0.05 < np.mean(covered) < 0.6
    assert hand_alpha(np.zeros((4, 4, 3), np.uint8), "hands_dguzk") is None
