"""Dexter+Object and EgoDexter: fingertips in a depth camera's frame, turned axes, missing tips of every kind, corrected labels."""

import cv2
import numpy as np
import pytest

from handpose.data import dexter
from handpose.errors import HandposeError
from handpose.skeleton import JOINT_NAMES, Skeleton

TIPS = [JOINT_NAMES.index(f"{finger}3") for finger in "TIMRL"]
OBJECT_MATRIX = np.array([[587.45209, 0, 325], [0, 600.67456, 249], [0, 0, 1]]) @ np.array(
    [[0.9999, 0.0034, 0.0161, 19.0473], [-0.0033, 1, -0.0079, -1.8514], [-0.0162, 0.0079, 0.9998, -4.7501]]
)
EGO_MATRIX = np.array([[617.173, 0, 315.453], [0, 617.173, 242.259], [0, 0, 1]]) @ np.array(
    [[1, 0.00090442, -0.0074, 20.2365], [-0.00071933, 0.9997, 0.0248, 1.2846], [0.0075, -0.0248, 0.9997, 5.7360]]
)
MATRICES = {"object": OBJECT_MATRIX, "ego": EGO_MATRIX}


def tips_mm(frame):
    """Fingertips of a left hand before the depth camera, in its frame, x to the right and y down."""
    return Skeleton.default("left").rest_joints_mm[TIPS] * (1, -1, -1) + (10 + 4 * frame, 80, 450)


def projected(kind, tips):
    pixels = MATRICES[kind] @ np.concatenate([tips, np.ones((len(tips), 1))], axis=1).T
    return (pixels[:2] / pixels[2]).T


def line(tips, after=""):
    return "".join(", ".join(f"{value:.4f}" for value in tip) + "; " for tip in tips) + after + "\n"


def write_picture(path, kind, frame):
    """A dot at the tip of the index finger."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.zeros((480, 640, 3), np.uint8)
    column, row = np.round(projected(kind, tips_mm(frame))[1]).astype(int)
    picture[row, column] = 255
    cv2.imwrite(str(path), picture)


def write_object(root, sequence="Grasp1", n=3):
    """Dexter+Object: x and y of the labels are turned round, and corners of the object follow the tips."""
    folder = root / "data" / sequence
    for frame in range(n):
        write_picture(folder / "color" / f"image_{frame:05d}_color.png", "object", frame)
    labels = folder / "annotations" / f"{sequence}3D.txt"
    labels.parent.mkdir()
    labels.write_text("".join(line(tips_mm(i) * (-1, -1, 1), "1.0, 2.0, 3.0; 4, 5, 6;") for i in range(n)))
    labels.with_name(f"{sequence}2D.txt").write_text("160, 120;" * 8 + "\n")
    return labels


def write_ego(root, sequence="Desk", n=3):
    folder = root / "data" / sequence
    for frame in range(n):
        write_picture(folder / "color" / f"image_{frame:05d}_color.png", "ego", frame)
    (folder / "annotation.txt").write_text("300,200;" * 5 + "\n" + ("300,200; " * 5 + "\n") * (n - 1))
    labels = folder / "annotation.txt_3D.txt"
    labels.write_text("".join(line(tips_mm(i)) for i in range(n)))
    return labels


WRITERS = {"object": write_object, "ego": write_ego}


def change(path, row, tip, text):
    """Put `text` in the place of one tip of one line."""
    lines = path.read_text().splitlines()
    fields = lines[row].split(";")
    fields[tip] = text
    lines[row] = ";".join(fields)
    path.write_text("\n".join(lines) + "\n")


def missing(sample):
    return [name for name, valid in zip(JOINT_NAMES, sample.valid, strict=True) if name[1:] == "3" and not valid]


@pytest.mark.parametrize("kind", WRITERS)
def test_tips_meet_the_colour_pictures(tmp_path, kind):
    WRITERS[kind](tmp_path)
    frames = dexter.read(tmp_path)
    assert dexter.recognises(tmp_path) and len(frames) == 3
    assert frames.name == {"object": "Dexter+Object", "ego": "EgoDexter"}[kind]
    for index in range(3):
        sample = frames[index]
        np.testing.assert_allclose(sample.joints_px[TIPS], projected(kind, tips_mm(index)), atol=1e-3)
        np.testing.assert_allclose(sample.joints_px, sample.camera.project(sample.joints_mm))
        row, column = np.argwhere(sample.image[..., 0] == 255)[0]
        np.testing.assert_allclose(sample.joints_px[JOINT_NAMES.index("I3")], (column, row), atol=0.51)
        assert np.flatnonzero(sample.valid).tolist() == TIPS and sample.side == "left"
        assert np.isnan(sample.joints_px[~sample.valid]).all() and np.isnan(sample.joints_mm[~sample.valid]).all()
        assert not missing(sample)
    assert frames[1].name == {"object": "Grasp1", "ego": "Desk"}[kind] + "/image_00001_color.png"


@pytest.mark.parametrize("kind", WRITERS)
def test_colour_frames_keep_shape_and_handedness(tmp_path, kind):
    WRITERS[kind](tmp_path)
    found, true = dexter.read(tmp_path)[0].joints_mm[TIPS], tips_mm(0)
    apart = [np.linalg.norm(tips[1:] - tips[:-1], axis=-1) for tips in (found, true)]
    np.testing.assert_allclose(apart[0], apart[1], rtol=1e-3)
    assert np.linalg.norm(found - true, axis=-1).max() < 40  # two cameras in one housing, both the right way up


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("mark", ["0, 0, 32001", " 0,0,0", "", "nan, nan, nan", "1, , 3", "5.5, 6.5, -1"])
def test_marked_tips_are_missing(tmp_path, kind, mark):
    labels = WRITERS[kind](tmp_path)
    change(labels, 1, 3, mark)
    frames = dexter.read(tmp_path)
    assert missing(frames[1]) == ["R3"]
    assert not missing(frames[0]) and not missing(frames[2])
    np.testing.assert_allclose(frames[1].joints_px[TIPS[4]], projected(kind, tips_mm(1))[4], atol=1e-3)


@pytest.mark.parametrize("kind", WRITERS)
def test_pictures_without_a_tip_are_left_out(tmp_path, kind):
    labels = WRITERS[kind](tmp_path)
    for tip in range(5):
        change(labels, 1, tip, "0,0,0")
    frames = dexter.read(tmp_path)
    assert [frames[i].name.split("/")[1] for i in range(len(frames))] == [
        "image_00000_color.png",
        "image_00002_color.png",
    ]
    labels.write_text(line([(0, 0, 0)] * 5) * 3)
    with pytest.raises(HandposeError, match="no fingertip is labelled"):
        dexter.read(tmp_path)


def test_a_tip_that_is_not_seen_in_the_depth_picture_is_missing(tmp_path):
    labels = write_ego(tmp_path)
    change(labels.with_name("annotation.txt"), 2, 0, "-1,-1")
    assert missing(dexter.read(tmp_path)[2]) == ["T3"]
    own = labels.with_name(f"my_{labels.name}")
    own.write_text(labels.read_text())
    assert not missing(dexter.read(tmp_path)[2])  # who corrected it has seen it
    own.unlink()
    (tmp_path / "data" / "Desk" / "annotation.txt").write_text("300,200;" * 5)
    with pytest.raises(HandposeError, match=r"annotation.txt: 1 lines, but 3"):
        dexter.read(tmp_path)


@pytest.mark.parametrize("kind", WRITERS)
def test_corrected_labels_are_read_where_the_user_gives_them(tmp_path, kind):
    labels = WRITERS[kind](tmp_path)
    own = labels.with_name(f"my_{labels.name}")
    own.write_text(labels.read_text())
    change(own, 0, 2, " , , ")
    change(own, 1, 4, "-20, -30, 500" if kind == "object" else "20, 30, 500")
    frames = dexter.read(tmp_path)
    assert frames.name.endswith("-corrected") and missing(frames[0]) == ["M3"]
    expected = projected(kind, np.array([[20.0, 30, 500]]))[0]
    np.testing.assert_allclose(frames[1].joints_px[JOINT_NAMES.index("L3")], expected, atol=1e-6)
    raw = dexter.read(tmp_path, corrected=False)
    assert not raw.name.endswith("-corrected") and not missing(raw[0])
    assert dexter.read(tmp_path, corrected=True).name == frames.name


@pytest.mark.parametrize(("kind", "other"), [("object", "Pinch"), ("ego", "Fruits")])
def test_raw_and_corrected_labels_are_never_mixed(tmp_path, kind, other):
    labels, second = WRITERS[kind](tmp_path), WRITERS[kind](tmp_path, other)
    assert len(dexter.read(tmp_path)) == 6
    with pytest.raises(HandposeError, match="my_.*3D.txt: not readable as text .No such file"):
        dexter.read(tmp_path, corrected=True)
    labels.with_name(f"my_{labels.name}").write_text(labels.read_text())
    with pytest.raises(HandposeError, match=f"{other}.*my_{second.name}"):
        dexter.read(tmp_path)


def test_rows_belong_to_picture_numbers_in_ego_dexter(tmp_path):
    labels = write_ego(tmp_path)
    (tmp_path / "data" / "Desk" / "color" / "image_00001_color.png").unlink()
    with pytest.raises(HandposeError, match="color: no picture number 1, but labels in line 2 of"):
        dexter.read(tmp_path)
    for tip in range(5):
        change(labels, 1, tip, "0,0,0")
    frames = dexter.read(tmp_path)
    assert len(frames) == 2
    np.testing.assert_allclose(frames[1].joints_px[TIPS], projected("ego", tips_mm(2)), atol=1e-3)


def test_rows_belong_to_pictures_in_their_order_in_dexter_object(tmp_path):
    labels = write_object(tmp_path, n=12)
    colour = tmp_path / "data" / "Grasp1" / "color"
    for frame in range(12):  # not padded with zeros, not from 0: 12 sorts behind 2 all the same
        (colour / f"image_{frame:05d}_color.png").rename(colour / f"img{frame + 1}.png")
    frames = dexter.read(tmp_path)
    assert [frames[i].name for i in (0, 1, 9)] == ["Grasp1/img1.png", "Grasp1/img2.png", "Grasp1/img10.png"]
    (colour / "img4.png").unlink()
    with pytest.raises(HandposeError, match=f"{labels.name}: 12 lines, but 11 pictures"):
        dexter.read(tmp_path)


def test_the_data_folder_alone_is_known(tmp_path):
    write_ego(tmp_path, "Desk")
    write_ego(tmp_path, "Rotunda")
    assert dexter.recognises(tmp_path / "data") and len(dexter.read(tmp_path / "data")) == 6


def test_a_sequence_without_labels_is_named(tmp_path):
    write_ego(tmp_path, "Desk")
    write_ego(tmp_path, "Rotunda").unlink()
    (tmp_path / "data" / "Rotunda" / "annotation.txt").unlink()
    with pytest.raises(HandposeError, match=r"Rotunda.annotation.*txt: missing, though its sequence has pictures"):
        dexter.read(tmp_path)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,2;3,4;5,6;7,8;9,10;\n", "line 1: expected five tips"),
        ("1,2,3;4,5,6;\n", "line 1: expected five tips"),
        ("a,b,c;" * 5, "line 1: not numbers"),
        ("\xff\xfe", "not readable as text"),
    ],
)
def test_broken_labels_are_named(tmp_path, kind, text, words):
    labels = WRITERS[kind](tmp_path)
    labels.write_bytes(text.encode("latin1"))
    with pytest.raises(HandposeError, match=f"{labels.name}: {words}"):
        dexter.read(tmp_path)


def test_broken_pictures_are_named(tmp_path):
    write_ego(tmp_path)
    picture = tmp_path / "data" / "Desk" / "color" / "image_00000_color.png"
    frames = dexter.read(tmp_path)
    cv2.imwrite(str(picture), np.zeros((240, 320, 3), np.uint8))
    with pytest.raises(HandposeError, match="image_00000_color.png: expected 640x480 pixels, found 320x240"):
        _ = frames[0].image
    picture.write_bytes(picture.read_bytes()[:50])
    with pytest.raises(HandposeError, match="image_00000_color.png: not a readable picture"):
        _ = frames[0].image


def test_a_folder_of_something_else_is_not_taken(tmp_path):
    (tmp_path / "data" / "Desk" / "annotations").mkdir(parents=True)
    assert not dexter.recognises(tmp_path) and not dexter.recognises(tmp_path / "absent")
    with pytest.raises(HandposeError, match="neither Dexter"):
        dexter.read(tmp_path)
