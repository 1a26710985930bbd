"""The RealHands layout: pictures find their masks, whatever a recording calls them, and no joints are made up."""

import shutil

import cv2
import numpy as np
import pytest

from handpose.data import real_hands
from handpose.errors import HandposeError

HAND = np.zeros((48, 64), np.uint8)
HAND[10:30, 20:50] = 255
PICTURE = np.where(HAND[..., None] > 0, np.array([120, 160, 220], np.uint8), np.array([40, 200, 60], np.uint8))


def write_frame(root, user="user01", number=1, colour="png", mask="mask/image_{}.jpg"):
    """Write a picture and its mask, the names as given; returns where the picture lies."""
    folder = root / user
    path = folder / "color" / f"image_{number}_color.{colour}"
    for file, content in ((path, PICTURE), (folder / mask.format(number), HAND)):
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), content)
    return path


def test_a_frame_has_a_mask_and_no_joints(tmp_path):
    write_frame(tmp_path)
    frames = real_hands.read(tmp_path)
    sample = frames[0]
    assert real_hands.recognises(tmp_path) and len(frames) == 1
    assert sample.name == "user01/color/image_1_color.png"
    assert sample.side is None and sample.camera is None and sample.joints_mm is None
    assert sample.valid.shape == (21,) and not sample.valid.any()
    np.testing.assert_array_equal(sample.joints_px, np.zeros((21, 2)))
    np.testing.assert_array_equal(sample.image, PICTURE[..., ::-1])


def test_the_mask_lies_on_the_hand_of_its_own_picture(tmp_path):
    write_frame(tmp_path)
    other = tmp_path / "user01"
    cv2.imwrite(str(other / "color" / "image_2_color.png"), PICTURE[:, ::-1])
    cv2.imwrite(str(other / "mask" / "image_2.jpg"), HAND[:, ::-1])
    for sample in (real_hands.read(tmp_path)[i] for i in range(2)):
        np.testing.assert_array_equal(sample.mask > 0, (sample.image == [220, 160, 120]).all(-1))


def test_a_lossy_mask_becomes_two_valued(tmp_path):
    write_frame(tmp_path)
    noisy = np.clip(HAND.astype(int) + np.random.default_rng(0).integers(-60, 60, HAND.shape), 0, 255)
    cv2.imwrite(str(tmp_path / "user01" / "mask" / "image_1.jpg"), noisy.astype(np.uint8))
    mask = real_hands.read(tmp_path)[0].mask
    assert mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 255}
    assert ((mask > 0) == (HAND > 0)).mean() > 0.98


@pytest.mark.parametrize("colour", ["png", "jpg"])
@pytest.mark.parametrize(
    "mask", ["mask/image_{}.jpg", "masks/image_{}.png", "masks/image_{}.jpg", "mask/image_{}_mask.jpg"]
)
def test_recordings_name_their_files_differently(tmp_path, colour, mask):
    write_frame(tmp_path / "RealHands", "user04_02", 7, colour, mask)
    for root in (tmp_path, tmp_path / "RealHands", tmp_path / "RealHands" / "user04_02"):
        assert real_hands.recognises(root)
        sample = real_hands.read(root)[0]
        assert (
            sample.name.endswith(f"color/image_7_color.{colour}")
            and sample.mask[20, 30] == 255
            and sample.mask[0, 0] == 0
        )


def test_frames_come_in_the_order_of_their_numbers(tmp_path):
    for user, number in (("user07_static", 3), ("user01", 10), ("user01", 9), ("user01", 100), ("user01_static", 1)):
        write_frame(tmp_path, user, number)
    (tmp_path / "user01" / "color" / "Thumbs.db").write_bytes(b"")
    frames = real_hands.read(tmp_path)
    names = [frames[i].name.replace("/color/image_", " ").replace("_color.png", "") for i in range(len(frames))]
    assert names == ["user01 9", "user01 10", "user01 100", "user01_static 1", "user07_static 3"]


def test_a_cleaned_mask_wins_over_the_released_one(tmp_path):
    write_frame(tmp_path)
    cv2.imwrite(str(tmp_path / "user01" / "mask" / "image_1_mask.jpg"), 255 - HAND)
    assert real_hands.read(tmp_path)[0].mask[0, 0] == 255


def test_a_picture_without_mask_is_kept_and_a_mask_without_picture_is_named(tmp_path):
    write_frame(tmp_path, number=1)
    write_frame(tmp_path, number=2)
    (tmp_path / "user01" / "mask" / "image_2.jpg").unlink()
    frames = real_hands.read(tmp_path)
    assert len(frames) == 2 and frames[1].mask is None
    (tmp_path / "user01" / "color" / "image_1_color.png").unlink()
    with pytest.raises(HandposeError, match="image_1.jpg: its picture color/image_1_color.png"):
        real_hands.read(tmp_path)


def test_broken_files_are_named(tmp_path):
    picture = write_frame(tmp_path)
    mask = tmp_path / "user01" / "mask" / "image_1.jpg"
    sample = real_hands.read(tmp_path)[0]
    cv2.imwrite(str(mask), HAND[:24])
    with pytest.raises(HandposeError, match="image_1.jpg: 64x24 pixels, but its picture has 64x48"):
        _ = sample.mask
    picture.write_bytes(b"no picture")
    with pytest.raises(HandposeError, match="image_1_color.png: not a readable picture"):
        _ = sample.mask
    with pytest.raises(HandposeError, match="image_1_color.png"):
        _ = sample.image
    mask.write_bytes(b"")
    with pytest.raises(HandposeError, match="image_1.jpg"):
        _ = sample.mask


def test_another_folder_is_not_taken(tmp_path):
    (tmp_path / "user01" / "depth").mkdir(parents=True)
    assert not real_hands.recognises(tmp_path)
    with pytest.raises(HandposeError, match="no RealHands frames"):
        real_hands.read(tmp_path)
    (tmp_path / "user01" / "color").mkdir()
    assert not real_hands.recognises(tmp_path)


@pytest.mark.parametrize(("absent", "named"), [("mask", "mask or masks"), ("color", "color")])
def test_half_a_download_is_named(tmp_path, absent, named):
    for user in ("user01", "user02"):
        write_frame(tmp_path, user)
    shutil.rmtree(tmp_path / "user02" / absent)
    assert real_hands.recognises(tmp_path)
    with pytest.raises(HandposeError, match=f"user02: its folder {named} is missing"):
        real_hands.read(tmp_path)
