"""The translator's data: silhouettes by ground, the rules by which frames are dropped, and two sides that look alike but for their looks."""

import cv2
import numpy as np
import pytest
from tests_data import write_photo_set

from geocongan.cli import main
from geocongan.domains import DomainBatches, DomainConfig, moved, to_network, to_picture
from geocongan.measures import fid, kid, mask_iou
from geocongan.silhouettes import cleaned, cut_out, holds_ground, holds_joints, recognise_ground, without_spill

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


def test_prepare_writes_what_training_reads(tmp_path, capsys):
    folder = write_photo_set(tmp_path / "photos", 6)
    for path in (folder / "images").iterdir():
        size = cv2.imread(str(path)).shape[:2]
        image = np.full((*size, 3), (60, 190, 30), np.uint8)  # BGR
        cv2.circle(image, (size[1] // 2, size[0] // 2), min(size) // 3, SKIN[::-1], -1)
        cv2.imwrite(str(path), image)
    assert main(["prepare", "--i", str(folder), "--o", str(tmp_path / "real"), "--size", "64"]) == 0
    assert "frames kept" in capsys.readouterr().out
    if not list((tmp_path / "real" / "user_photos" / "color").iterdir()):
        pytest.fail("the fixture's hands were all dropped")
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


def test_realhands_as_released_is_prepared(tmp_path, capsys):
    """Speckled lossy masks, one recording with `masks` and JPEG; a frame whose mask is empty is dropped with its reason."""
    rng = np.random.default_rng(0)
    image, silhouette = hand_on(GROUNDS["green"])
    for user, colour, mask in (("user01", "png", "mask/image_{}.jpg"), ("user06_02", "jpg", "masks/image_{}.png")):
        for number in range(1, 4):
            noisy = silhouette if number < 3 else np.zeros_like(silhouette)
            noisy = np.where(rng.random(noisy.shape) < 0.002 * (number < 3), 255 - noisy, noisy).astype(np.uint8)
            for name, content in (
                (f"color/image_{number}_color.{colour}", image[..., ::-1]),
                (mask.format(number), noisy),
            ):
                path = tmp_path / "RealHands" / user / name
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), content)
    assert main(["prepare", "--i", str(tmp_path / "RealHands"), "--o", str(tmp_path / "real"), "--size", "96"]) == 0
    assert "4 of 6 frames kept; dropped: no hand 2" in capsys.readouterr().out
    (folder,) = (tmp_path / "real").iterdir()
    assert (folder / "contact_sheet.jpg").exists()
    for number in range(1, 5):
        cut = cv2.imread(str(folder / "mask" / f"image_{number}.png"), cv2.IMREAD_GRAYSCALE)
        assert set(np.unique(cut)) == {0, 255} and cv2.connectedComponents(cut)[0] == 2, "speckles are gone"
        rows = np.nonzero(cut.any(1))[0]
        assert 60 < np.ptp(rows) < 92, "speckles do not widen the crop"
    side = DomainBatches(DomainConfig("render", str(tmp_path / "real"), 64, 2)).real
    assert len(side) == 4 and not len(side.joints)


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


def test_prepare_says_what_is_wrong(tmp_path, capsys):
    folder = write_photo_set(tmp_path / "photos", 2)
    (tmp_path / "real" / "user_photos").mkdir(parents=True)
    assert main(["prepare", "--i", str(folder), "--o", str(tmp_path / "real")]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["train-silnet", "--real", str(folder), "--o", str(tmp_path / "run"), "--size", "70"]) == 1
    assert "multiple of 8" in capsys.readouterr().err
    assert main(["train", "--real", str(folder), "--o", str(tmp_path / "run")]) == 1
    assert "--silnet" in capsys.readouterr().err


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
