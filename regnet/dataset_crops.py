"""Hands of any dataset as wide windows: those of small sets are kept, those of large ones cut when they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial

import cv2
import numpy as np

from handpose.camera import Camera
from handpose.crop import CROP_SIZE, MARGIN, Crop
from handpose.data.cutout import hand_alpha
from handpose.data.grabcut import alpha_by_joints
from handpose.data.sample import Sample
from handpose.data.synth_hands import CHROMA
from handpose.errors import HandposeError
from handpose.skeleton import M0, N_JOINTS, WRIST
from regnet.augment import Placement
from regnet.labelled import Opened, aim, known_mm

WINDOW = 192  # px, at the same scale as the network's 128 px crop
KEPT = 8000  # hands of a set that is kept whole, 1.5 GB
_CACHED = 2000  # windows of a larger set
_COVERED = 127  # of a mask's 255: from there on it is the hand
_PROBED = 64  # samples by which a larger set is judged
_ON_GREEN = ("synth_hands",)  # readers whose pictures are made to be cut out
_OWN_MASKS = (*_ON_GREEN, "json_labels")  # readers by whose masks, where there are some, a hand may be cut out
_PHOTOGRAPHS = ("photos", "json_labels")  # readers of whose pictures hands are cut out, whatever is behind them


@dataclass(frozen=True, eq=False)
class Window:
    """A left hand (a right one is mirrored) in a wide window: image (192, 192, 4) with its alpha, joints_px (21, 2) in it, valid (21,).

    joints_rel (21, 3), or None, is in the axes of the window's camera, which looks straight at the hand, origin M0, unit |W-M0|,
    NaN where unknown. silhouette (192, 192) uint8, 255 on the hand, is what is known of a hand without any labelled joint. (Beside
    labelled joints it is not asked: those without a label are often hidden, and then not on the visible hand.) The alpha of a
    `cluttered` photograph is all 255 inside it, and `cut_out` tells it.
    """

    image: np.ndarray
    joints_px: np.ndarray
    valid: np.ndarray
    has_side: bool
    joints_rel: np.ndarray | None = None
    on_green: bool = False  # its own ground is never to be seen
    silhouette: np.ndarray | None = None
    cluttered: bool = False

    @property
    def cut_out(self) -> np.ndarray:
        """The image (192, 192, 4) with the alpha of the hand where it can be told."""
        return self.image if self._alpha is None else np.dstack([self.image[..., :3], self._alpha])

    @cached_property
    def _alpha(self) -> np.ndarray | None:
        """Searched for when first asked for, as that takes 40 ms."""
        alpha = alpha_by_joints(self.image[..., :3], self.joints_px) if self.cluttered else None
        return None if alpha is None else np.minimum(alpha, self.image[..., 3])


def cut_window(sample: Sample, reader: str = "", set_name: str = "") -> Window:
    """Cut the window of a sample with a labelled joint or a silhouette. Raises HandposeError where its picture cannot be read."""
    image, on_green = sample.image, reader in _ON_GREEN
    cuts_out, labelled = reader in _OWN_MASKS, sample.valid.any()
    mask = _mask_of(sample, image) if cuts_out or not labelled else None
    silhouette = None if labelled else mask
    alpha = mask if cuts_out and mask is not None else hand_alpha(image, set_name)
    joints_px, crop = _aim(sample, reader, silhouette, (image.shape[1], image.shape[0]))
    kept = np.full(image.shape[:2], 255, np.uint8) if alpha is None else alpha
    shown, kept = crop.warp(image), crop.warp(np.repeat(kept[..., None], 3, -1))[..., 0]
    cut = np.dstack([_without_green(shown, kept) if on_green else shown, kept])
    if silhouette is not None:
        silhouette = crop.warp(np.repeat(silhouette[..., None], 3, -1))[..., 0]
    joints_px = crop.to_crop(joints_px)
    joints_mm = known_mm(sample, reader)
    joints_rel = None if joints_mm is None else _relative(joints_mm @ crop.camera_from_crop)
    if sample.side == "right":
        cut, joints_px = cut[:, ::-1], joints_px * (-1, 1) + (WINDOW - 1, 0)
        joints_rel = None if joints_rel is None else joints_rel * (-1, 1, 1)
        silhouette = None if silhouette is None else np.ascontiguousarray(silhouette[:, ::-1])
    cut, has_side = np.ascontiguousarray(cut), sample.side is not None
    cluttered = reader in _PHOTOGRAPHS and alpha is None and bool(sample.valid.all())
    return Window(cut, joints_px, sample.valid, has_side, joints_rel, on_green, silhouette, cluttered)


def _mask_of(sample: Sample, image: np.ndarray) -> np.ndarray | None:
    """Give the mask (H, W) of a sample. Raises HandposeError where its picture (H, W, 3) has another size."""
    mask = sample.mask
    if mask is not None and mask.shape != image.shape[:2]:
        sizes = f"{mask.shape[1]}x{mask.shape[0]} pixels, but its picture has {image.shape[1]}x{image.shape[0]}"
        raise HandposeError(f"{sample.name}: its mask has {sizes}")
    return mask


def _aim(
    sample: Sample, reader: str, silhouette: np.ndarray | None, size_px: tuple[int, int]
) -> tuple[np.ndarray, Crop]:
    """Aim at a sample's joints, or where none is labelled upright at its silhouette, in whose middle they are all put."""
    margin = MARGIN * WINDOW / CROP_SIZE
    if silhouette is None:
        return aim(sample, size_px, WINDOW, margin, reader)
    rows, columns = np.nonzero(silhouette > _COVERED)
    low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()])
    middle_px = (low + high) / 2
    camera = sample.camera or Camera.from_fov(size_px)
    crop = Crop.from_box(camera, middle_px, margin * float((high - low).max() + 1), size=WINDOW)
    return np.tile(middle_px, (N_JOINTS, 1)), crop


def placed_joints(window: Window, placement: Placement) -> np.ndarray | None:
    """Turn a window's 3D joints as its picture is turned; None without 3D. The placement must not squeeze.

    The axes stay those of a camera that looks straight at the hand, wherever it lies in the crop: so the picture shows it.
    """
    if window.joints_rel is None:
        return None
    linear = placement.matrix[:, :2]
    turn = linear / np.sqrt(np.linalg.det(linear))
    return np.concatenate([window.joints_rel[:, :2] @ turn.T, window.joints_rel[:, 2:]], axis=1)


class OnDemand(Sequence):
    """The windows of a large set, cut when asked for, the last ones kept: None where a sample has neither labelled joint nor mask.

    Raises HandposeError where no sample seems to have one.
    """

    def __init__(self, opened: Opened):
        self._opened = opened
        self._cut = lru_cache(_CACHED)(partial(_opaque_window_of, opened))
        count = len(opened.samples)
        probed = np.unique(np.linspace(0, count - 1, min(count, _PROBED)).astype(int)).tolist()
        empty = sum(not _tells(opened.samples[index]) for index in probed)
        if empty == len(probed):
            raise HandposeError(
                f"{opened.samples.name}: none of {empty} samples looked at has a labelled joint or a mask"
            )
        if empty:
            name = opened.samples.name
            print(f"{name}: some {empty / len(probed):.0%} of {count} samples have no joint or mask: passed over")

    def __len__(self) -> int:
        return len(self._opened.samples)

    def __getitem__(self, index):
        return self._cut(index)


def windows_of(opened: Opened) -> Sequence[Window | None]:
    """Give the windows of a set: of a small one all, without samples that have neither labelled joint nor mask, whose number is told in one line."""
    if opened.reader == "shards":
        return opened.samples  # type: ignore[return-value]  # windows already
    count = len(opened.samples)
    if count > KEPT:
        return OnDemand(opened)
    windows = [window for window in map(partial(window_of, opened), range(count)) if window is not None]
    if len(windows) < count:
        print(f"{opened.samples.name}: {count - len(windows)} of {count} samples have no joint or mask: passed over")
    return windows


def window_of(opened: Opened, index: int) -> Window | None:
    """Cut the window of a set's sample; None where it has neither labelled joint nor mask."""
    sample = opened.samples[index]
    return cut_window(sample, opened.reader, opened.samples.name) if _tells(sample) else None


def _opaque_window_of(opened: Opened, index: int) -> Window | None:
    """Cut a window whose hand is not to be cut out: where few windows are kept, every draw would take that long. Shards keep cut-outs."""
    window = window_of(opened, index)
    return window and replace(window, cluttered=False)


def _tells(sample: Sample) -> bool:
    if sample.valid.any():
        return True
    mask = sample.mask
    return mask is not None and bool((mask > _COVERED).any())


def _relative(joints_mm: np.ndarray) -> np.ndarray | None:
    """Put joints (21, 3) relative to M0, in units of |W-M0|; None where these two are not known, for then nothing is."""
    length = np.linalg.norm(joints_mm[WRIST] - joints_mm[M0])
    return (joints_mm - joints_mm[M0]) / length if length > 0 else None  # a NaN is not


def _without_green(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Take chroma green out of the half covered pixels of (H, W, 3), and let the hand's colours run over its edge, as far as later cuts mix."""
    share = alpha[..., None].astype(np.float32) / 255
    own = np.clip((image - (1 - share) * np.array(CHROMA, np.float32)) / np.maximum(share, 0.25), 0, 255)
    covered = np.where(share >= 0.25, share, 0)
    weight = cv2.blur(covered[..., 0], (7, 7))[..., None]
    nearby = cv2.blur(own * covered, (7, 7)) / np.maximum(weight, 1e-6)
    return np.where(covered > 0, own, np.where(weight > 1e-3, nearby, image)).astype(np.uint8)
