"""Pictures that only look like hands: they teach presence alone, in every batch where a folder of them is given."""

import cv2
import numpy as np
import pytest
from tests_data import write_photo_set

from handpose.errors import HandposeError
from regnet.batches import BatchMaker, StreamConfig
from regnet.without_hand import WithoutHand


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "no_hands"
    made.mkdir()
    for i in range(3):
        cv2.imwrite(str(made / f"{i}.jpg"), np.full((192, 192, 3), 60 * i + 30, np.uint8))
    return made


def test_items_show_no_hand(folder):
    items = WithoutHand(folder, 128)
    first, again = (items.item(np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first["image"], again["image"])
    assert first["image"].shape == (128, 128, 3) and first["image"].dtype == np.uint8
    assert first["presence"][0] == 0 and first["inside"].sum() == 0 and first["known_3d"].sum() == 0


def test_batches_hold_some(folder, tmp_path, monkeypatch):
    photos = str(write_photo_set(tmp_path / "photos"))
    drawn = []
    item = WithoutHand.item
    monkeypatch.setattr(WithoutHand, "item", lambda self, rng: drawn.append(item(self, rng)) or drawn[-1])
    with_them = BatchMaker(StreamConfig((photos,), (1.0,), batch_size=64, without_hand=str(folder)))
    batches = [with_them.batch(step) for step in range(3)]
    assert 1 <= len(drawn) <= 20, "of 192, some of all"
    shown = np.concatenate([batch["image"] for batch in batches])
    assert all((shown == one["image"]).all((1, 2, 3)).any() for one in drawn)
    drawn.clear()
    BatchMaker(StreamConfig((photos,), (1.0,), batch_size=64)).batch(0)
    assert not drawn


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(HandposeError, match="no folder of .jpg"):
        WithoutHand(tmp_path / "missing", 128)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(HandposeError, match="broken.jpg"):
        WithoutHand(tmp_path, 128)
