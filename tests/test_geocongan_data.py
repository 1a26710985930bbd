"""The translator's data: silhouettes by ground, the rules by which frames are dropped, and two sides that look alike but for their looks."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from tests_data import write_photo_set

from geocongan import domains, prepare
from geocongan.cli import main
from geocongan.domains import DomainBatches, DomainConfig, PhotographedSide, moved, to_network, to_picture
from geocongan.measures import fid, kid, mask_iou
from geocongan.silhouettes import cleaned, cut_out, recognise_ground, without_spill
from handpose.data import photos
from handpose.data.grabcut import holds_ground, holds_joints
from handpose.images import read_image, write_image

SKIN = (205, 150, 120)
GROUNDS = {"green": (30, 190, 60), "light": (230, 228, 225), "dark": (6, 6, 8)}


def hand_on(ground):
    """A picture of a skin-coloured disc with five fingers, and its silhouette."""
    silhouette = np.zeros((160, 160), np.uint8)
    cv2.circle(silhouette, (80, 100), 32, 255, -1)
    for x in range(52, 110, 14):
        cv2.line(silhouette, (80, 100), (x, 35), 255, 9)
    noise = np.random.default_rng(0).normal(0, 3, (160, 160, 3))
    image = np.where(silhouette[..., None] > 0, np.array(SKIN), np.array(ground)) + noise
    return image.clip(0, 255).astype(np.uint8), silhouette


@pytest.mark.parametrize("kind", GROUNDS)
def test_grounds_are_told_and_cut_away(kind):
    image, silhouette = hand_on(GROUNDS[kind])
    assert recognise_ground(image) == kind
    mask, reason = cleaned(cut_out(image, kind), rim=False)
    assert not reason
    assert mask_iou(mask[None] > 0, silhouette[None] > 0)[0] > 0.9


def test_a_cluttered_ground_needs_the_joints():
    image, silhouette = hand_on((120, 120, 120))
    image[::3] = 40
    assert recognise_ground(image) == "cluttered"
    with pytest.raises(ValueError, match="joints"):
        cut_out(image, "cluttered")
    joints = np.array(
        [[80, 125]] + [[80 + (x - 80) * t, 100 - 60 * t] for x in range(52, 110, 14) for t in (0.3, 0.5, 0.7, 0.95)]
    )
    mask, _ = cleaned(cut_out(image, "cluttered", joints), rim=False)
    assert mask_iou(mask[None] > 0, silhouette[None] > 0)[0] > 0.6


def test_bad_silhouettes_are_dropped_with_a_reason():
    empty = np.zeros((100, 100), np.uint8)
    speck, full = empty.copy(), np.full((100, 100), 255, np.uint8)
    speck[40:50, 40:50] = 255
    pieces = empty.copy()
    for i in range(100):
        cv2.circle(pieces, (5 + i % 10 * 10, 5 + i // 10 * 10), 3, 255, -1)
    full[:2, :2] = 0
    assert [cleaned(mask, rim=False)[1] for mask in (empty, speck, full, pieces)] == [
        "no hand",
        "too little",
        "too much",
        "in pieces",
    ]


def test_the_rim_of_a_green_screen_comes_off():
    _, silhouette = hand_on(GROUNDS["green"])
    wide = cv2.dilate(silhouette, np.ones((3, 3), np.uint8))
    cut, kept = (mask_iou(cleaned(wide, rim)[0][None] > 0, silhouette[None] > 0)[0] for rim in (True, False))
    assert cut > 0.95 > kept


def test_green_light_leaves_the_skin():
    spilled = np.full((4, 4, 3), (150, 190, 100), np.uint8)
    assert (without_spill(spilled)[..., 1] < 140).all()
    skin = np.full((4, 4, 3), SKIN, np.uint8)
    np.testing.assert_array_equal(without_spill(skin), skin)


def test_joints_must_lie_on_the_silhouette():
    _, silhouette = hand_on(GROUNDS["dark"])
    on = np.full((21, 2), (80.0, 100.0))
    assert holds_joints(silhouette, on, 2)
    assert not holds_joints(silhouette, on + (60, 0), 2)


def test_ground_between_fingers_is_told_by_its_grey():
    image, silhouette = hand_on((150, 152, 149))
    webbed = cv2.fillConvexPoly(silhouette.copy(), cv2.convexHull(cv2.findNonZero(silhouette)), 255)
    assert not holds_ground(image, silhouette)
    assert holds_ground(image, webbed)
    assert holds_ground(np.full_like(image, 128), silhouette), "a grey picture tells nothing"


def test_prepare_writes_what_training_reads(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(domains, "_CANDIDATES", 200)
    folder = write_photo_set(tmp_path / "photos", 6)
    for name, [hand] in json.loads((folder / "pseudo_labels.json").read_text()).items():
        path = folder / "images" / name
        image = np.full_like(cv2.imread(str(path)), (60, 190, 30))  # BGR
        outline = cv2.convexHull(np.array(hand["joints_px"], np.float32)).astype(int)
        cv2.fillConvexPoly(image, outline, SKIN[::-1])
        cv2.polylines(image, [outline], True, SKIN[::-1], 7)
        cv2.imwrite(str(path), image)
    assert main(["prepare", "--i", str(folder), "--o", str(tmp_path / "real"), "--size", "64"]) == 0
    assert "6 of 6 frames kept" in capsys.readouterr().out
    config = DomainConfig("render", str(tmp_path / "real"), 64, 2)
    batches = DomainBatches(config)
    first, again = batches.batch(1), DomainBatches(config).batch(1)
    for key, value in first.items():
        np.testing.assert_array_equal(value, again[key])
    assert first["synthetic"].shape == first["real"].shape == (2, 64, 64, 3)
    assert set(np.unique(first["real_mask"])) <= {0.0, 1.0}
    for side in ("synthetic", "real"):
        outside = first[side][first[f"{side}_mask"][..., 0] == 0]
        assert np.median(outside) > 0.98, "both sides lie on white"


def write_realhands(folder, pictures):
    """Write (image, silhouette) as RealHands is released, twice: speckled lossy masks, and one recording with `masks` and JPEG."""
    rng = np.random.default_rng(0)
    for user, colour, mask in (("user01", "png", "mask/image_{}.jpg"), ("user06_02", "jpg", "masks/image_{}.png")):
        for part in ("color", mask.partition("/")[0]):
            (folder / user / part).mkdir(parents=True)
        for number, (image, silhouette) in enumerate(pictures, 1):
            speckled = rng.random(silhouette.shape) < 0.002 * silhouette.any()
            write_image(folder / user / f"color/image_{number}_color.{colour}", image)
            write_image(folder / user / mask.format(number), np.where(speckled, 255 - silhouette, silhouette))
    return folder


def test_realhands_as_released_is_labelled_cut_and_mirrored(shared_data, tmp_path, capsys):
    """Without labels a right hand and its mirror image both become what the labelled photograph does: a left hand without forearm."""
    photographs = photos.read(shared_data / "real" / "rps_greenscreen")
    sample = next(one for one in photographs if one.side == "right")
    silhouette = cut_out(sample.image, "green")
    wanted, joints, reason = prepare.prepared(sample, 96)
    assert not reason
    pictures = [(sample.image, silhouette), (sample.image[:, ::-1], silhouette[:, ::-1])]
    folder = write_realhands(tmp_path / "RealHands", [*pictures, (sample.image, np.zeros_like(silhouette))])
    assert main(["prepare", "--i", str(folder), "--o", str(tmp_path / "real"), "--size", "96"]) == 0
    assert "4 of 6 frames kept; dropped: no hand 2" in capsys.readouterr().out
    (written,) = (tmp_path / "real").iterdir()
    assert (written / "contact_sheet.jpg").exists()
    found = json.loads((written / "joints.json").read_text())
    assert sorted(found) == [f"image_{number}" for number in range(1, 5)]
    for name, joints_px in found.items():
        assert np.linalg.norm(np.array(joints_px) - joints, axis=-1).mean() < 4, name
        mask = read_image(written / "mask" / f"{name}.png")[..., 0]
        assert cv2.connectedComponents(mask)[0] == 2, "speckles are gone"
        assert mask_iou(mask[None] > 127, wanted[None, ..., 3] > 127)[0] > 0.85, name
    assert PhotographedSide(tmp_path / "real", 64).joints.shape == (4, 21, 2), "renders are posed like them"


def test_hands_that_the_network_is_not_sure_of_are_dropped(tmp_path, capsys):
    folder = write_realhands(tmp_path / "RealHands", [hand_on(GROUNDS["green"])])
    assert main(["prepare", "--i", str(folder), "--o", str(tmp_path / "real"), "--size", "96"]) == 0
    assert "0 of 2 frames kept; dropped: joints or side not sure 2" in capsys.readouterr().out


def test_labels_come_before_what_the_network_sees(tmp_path, monkeypatch):
    sample = photos.read(write_photo_set(tmp_path / "photos", 1))[0]
    whole = np.full(sample.image.shape[:2], 255, np.uint8)
    seen = [(np.full((21, 2), 5.0), "right"), (sample.joints_px, "left")]
    finder = type("Finder", (), {"size": 128, "__call__": lambda *_: seen.pop(0)})()
    monkeypatch.setattr(prepare, "_finder", lambda: finder)
    wanted = prepare.prepared(sample, 96)
    assert sample.side == "right" and len(seen) == 2, "nobody is asked what is known"
    without_side = prepare.prepared(replace(sample, side=None), 96)
    without_joints = prepare.prepared(replace(sample, valid=np.arange(21) > 0, load_mask=lambda: whole), 96)
    for found in (without_side, without_joints):
        np.testing.assert_allclose(found[1], wanted[1])
        np.testing.assert_array_equal(found[0][..., :3], wanted[0][..., :3])


def test_given_silhouettes_are_taken(tmp_path, capsys):
    folder, masks = write_photo_set(tmp_path / "photos", 4), tmp_path / "masks"
    masks.mkdir()
    for path in (folder / "images").iterdir():
        image = cv2.imread(str(path))
        stick = (image.max(-1) > 150).astype(np.uint8) * 255  # the hands are brighter than the clutter
        cv2.imwrite(
            str(masks / f"{path.stem}.png"), cv2.morphologyEx(stick, cv2.MORPH_CLOSE, np.ones((13, 13), np.uint8))
        )
    command = ["prepare", "--i", str(folder), "--masks", str(masks), "--size", "96"]
    assert main([*command, "--o", str(tmp_path / "real")]) == 0
    assert "4 of 4 frames kept" in capsys.readouterr().out
    (masks / "2.png").unlink()
    assert main([*command, "--o", str(tmp_path / "other")]) == 1
    assert "no silhouette for 2.png" in capsys.readouterr().err


def test_prepare_keeps_what_it_has_when_it_is_stopped(tmp_path, capsys, monkeypatch):
    folder = write_photo_set(tmp_path / "set", 6)
    write = prepare.write_image

    def stopped(path, picture):
        if path.name == "image_4_color.png":  # its mask is there already
            raise KeyboardInterrupt
        write(path, picture)

    monkeypatch.setattr(prepare, "write_image", stopped)
    monkeypatch.setattr(
        prepare, "prepared", lambda *_: (np.full((64, 64, 4), 200, np.uint8), np.arange(42.0).reshape(21, 2), "")
    )
    assert main(["prepare", "--i", str(folder), "--o", str(tmp_path / "real"), "--size", "64"]) == 0
    said = capsys.readouterr()
    assert "3 of 6 frames kept" in said.out and "stopped" in said.err
    side = PhotographedSide(tmp_path / "real", 64)
    assert len(side) == 3 and side.picture(2).shape == (64, 64, 4)


def test_prepare_says_what_is_wrong(tmp_path, capsys):
    folder = write_photo_set(tmp_path / "photos", 2)
    (tmp_path / "real" / "user_photos").mkdir(parents=True)
    assert main(["prepare", "--i", str(folder), "--o", str(tmp_path / "real")]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["prepare", "--i", str(folder), "--o", str(tmp_path / "more"), "--split", "held_out"]) == 1
    assert "nobody of this set is on that side" in capsys.readouterr().err and not (tmp_path / "more").exists()
    assert main(["train-silnet", "--real", str(folder), "--o", str(tmp_path / "run"), "--size", "70"]) == 1
    assert "multiple of 8" in capsys.readouterr().err
    assert main(["train", "--real", str(folder), "--o", str(tmp_path / "run")]) == 1
    assert "--silnet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("train-silnet --batch 7", "--batch must be even, half from each side, not 7"),
        ("train-silnet --filters 0", "--filters must be 1 or more, not 0"),
        ("train --no-geometry --filters 0", "--filters must be 1 or more, not 0"),
        ("train --no-geometry --blocks -1", "--blocks must be 0 or more, not -1"),
        ("train --no-geometry --cycle -1", "--cycle must be 0 or more, not -1.0"),
        ("train --geometric nan", "--geometric must be a finite number, not nan"),
        ("train --no-geometry --identity inf", "--identity must be a finite number, not inf"),
    ],
)
def test_numbers_that_no_training_can_have_are_told_in_one_line(tmp_path, capsys, options, reason):
    assert main([*options.split(), "--real", str(tmp_path), "--o", str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err == f"geocongan: {reason}\n"


def test_the_help_says_what_a_translator_can_start_from(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "synth2real_*.weights.h5" in capsys.readouterr().out


def test_pictures_survive_the_network_range():
    picture = np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    np.testing.assert_array_equal(to_picture(to_network(picture)), picture)


def test_moving_a_hand_leaves_its_colour_to_the_rim():
    """What is transparent has no colour that could be mixed in."""
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[16:48, 20:44] = (*SKIN, 255)
    shown = moved(np.random.default_rng(1), picture)
    rim = (shown[..., 3] > 40) & (shown[..., 3] < 250)
    assert rim.sum() > 20
    assert np.abs(shown[rim][:, :3].astype(int) - SKIN).max() <= 6


def test_distances_of_features_grow_with_the_difference():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 400, 8))
    assert abs(kid(a, b)) < 0.1 * kid(a, b + 1)
    assert fid(a, b) < 0.2 < 7 < fid(a, b + 1) < 11  # eight dimensions, each a unit apart
    masks = np.zeros((2, 4, 4), bool)
    masks[0, :2] = True
    assert mask_iou(masks, np.roll(masks, 1, 1)).tolist() == [pytest.approx(1 / 3), 1.0]


def test_people_held_out_are_not_prepared_unless_they_are_asked_for(shared_data):
    folder = shared_data / "real" / "hands_dguzk"
    names = {
        split: {sample.name for sample in prepare._opened(folder, split)}
        for split in (None, "train", "held_out", "all")
    }
    assert names[None] == names["train"] and len(names["held_out"]) > 50
    assert names["train"].isdisjoint(names["held_out"]) and names["train"] | names["held_out"] == names["all"]
