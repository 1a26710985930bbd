"""The InterHand2.6M layout: one or two hands before calibrated cameras, joints in world millimetres.

`annotations/<split or kind>/InterHand2.6M_<split>_{data,camera,joint_3d}.json` and `images/<split>/Capture0/...` (Moon et al. 2020).
Each hand is one Sample; two hands of a picture are two, and both tell what it shows. Joints run from the tip to the base, the wrist last.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from handpose.camera import Camera
from handpose.data.broken import Broken
from handpose.data.files import read_json
from handpose.data.photos import Split
from handpose.data.pictures import read_sized
from handpose.data.sample import Sample
from handpose.errors import HandposeError
from handpose.skeleton import N_JOINTS, Side, permutation

_NAMES = [f"{finger}{joint}" for finger in "TIMRL" for joint in (3, 2, 1, 0)] + ["W"]
_ORDER = permutation(_NAMES)
_FIRST: dict[Side, int] = {"right": 0, "left": N_JOINTS}  # where a hand's 21 joints begin among the 42
_SIDES: dict[str, tuple[Side, ...]] = {"right": ("right",), "left": ("left",), "interacting": ("right", "left")}
_SPLITS: dict[str, Split] = {"train": "train", "val": "held_out", "test": "held_out"}
# Of version 0.0, `all` joins the labels made by people with those made by machine; version 1.0 names the folder by the split.
_KINDS = ("all", "human_annot", "machine_annot")


@dataclass(frozen=True)
class _View:
    """A calibrated camera: its place in the world (3,) [mm], camera_from_world (3, 3), focal lengths and principal point [px]."""

    place_mm: np.ndarray
    camera_from_world: np.ndarray
    focal_px: tuple[float, float]
    centre_px: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Hand:
    """A hand in a picture, kept small for there are millions: `pose` is a row of its part's world joints, `valid` 21 canonical flags.

    sides_shown is None where the release does not vouch for its `hand_type`.
    """

    part: _Part
    file_name: str
    size_px: tuple[int, int]
    view: _View
    pose: int
    side: Side
    valid: bytes
    sides_shown: tuple[Side, ...] | None


@dataclass(frozen=True, eq=False)
class _Part:
    """One split: its folder of pictures and all world joints (N, 42, 3) [mm]."""

    images: Path
    joints_file: Path
    world_mm: np.ndarray


class InterHand:
    """The hands of all splits that are there, in the order of their annotations."""

    def __init__(self, folder: Path, hands: list[_Hand]):
        self.name, self.folder, self._hands = "InterHand2.6M", folder, hands

    def __len__(self) -> int:
        return len(self._hands)

    def __getitem__(self, index: int) -> Sample:
        """Give a hand; of its joints only the `valid` ones mean anything. Raises HandposeError where one of these is broken."""
        hand = self._hands[index]
        first, valid = _FIRST[hand.side], np.frombuffer(hand.valid, bool)
        world_mm = hand.part.world_mm[hand.pose, first : first + N_JOINTS][_ORDER].astype(float)
        joints_mm = (world_mm - hand.view.place_mm) @ hand.view.camera_from_world.T
        if not (joints_mm[valid, 2] > 0).all():
            raise HandposeError(f"{hand.part.joints_file}: a valid joint of {hand.file_name} is not before the camera")
        camera = Camera(*hand.view.focal_px, *hand.view.centre_px, hand.size_px)
        joints_px = np.zeros((N_JOINTS, 2))
        joints_px[valid] = camera.project(joints_mm[valid])
        file = hand.part.images / hand.file_name
        return Sample(
            name=f"{file.relative_to(self.folder).as_posix()} {hand.side}",
            load_image=partial(read_sized, file, hand.size_px),
            joints_px=joints_px,
            valid=valid,
            joints_mm=joints_mm,
            side=hand.side,
            camera=camera,
            sides_shown=hand.sides_shown,
        )


def recognises(path: Path) -> bool:
    """Say whether a folder holds annotations of this dataset."""
    return any(_annotations(Path(path), split) for split in _SPLITS)


def read(path: Path, split: Split | Literal["val", "test"] | None = None) -> InterHand:
    """Read the annotations of the splits whose pictures are there: all, "train", "val", "test", or the last two together ("held_out").

    A hand without any valid joint is no Sample. Raises HandposeError naming the file where annotations are broken or missing.
    """
    path = Path(path)
    hands: list[_Hand] = []
    broken = Broken()
    for name, side in _SPLITS.items():
        annotations, images = _annotations(path, name), _images(path, name)
        if annotations and images and split in (name, side, None):
            with broken:
                hands += _read_split(annotations, images)
    broken.check()
    if not hands:
        raise HandposeError(
            f"{path}: no InterHand2.6M hands (annotations/train/InterHand2.6M_train_data.json with images/train) for it"
        )
    return InterHand(path, hands)


def _annotations(path: Path, split: str) -> Path | None:
    """Find the main file of a split; its two companions are named alike."""
    name = f"InterHand2.6M_{split}_data.json"
    folders = [path, *(path / base / kind for base in ("annotations", "") for kind in (split, *_KINDS, ""))]
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def _images(path: Path, split: str) -> Path | None:
    """Find the pictures of a split, directly or in the folder that the archives unpack to."""
    folders = [path / "images" / split, *sorted(path.glob(f"InterHand2.6M_*/images/{split}"))]
    return next((folder for folder in folders if folder.is_dir()), None)


def _read_split(data_file: Path, images: Path) -> list[_Hand]:
    camera_file, joints_file = (
        Path(str(data_file).replace("_data.json", f"_{part}.json")) for part in ("camera", "joint_3d")
    )
    views = _read_views(camera_file)
    rows, world_mm, world_valid = _read_poses(joints_file)
    part = _Part(images, joints_file, world_mm)
    data = read_json(data_file, _packed)
    hands = []
    try:
        pictures = {picture["id"]: picture for picture in data["images"]}
        for annotation in data["annotations"]:
            picture = pictures[annotation["image_id"]]
            capture, camera, frame = (str(picture[key]) for key in ("capture", "camera", "frame_idx"))
            if (capture, frame) not in rows:
                raise HandposeError(f"{joints_file}: no joints of capture {capture}, frame {frame}")
            if (capture, camera) not in views:
                raise HandposeError(f"{camera_file}: no camera {camera} of capture {capture}")
            pose, size_px = rows[capture, frame], (int(picture["width"]), int(picture["height"]))
            valid = np.frombuffer(annotation["joint_valid"], bool) & world_valid[pose]
            sides = _SIDES[annotation["hand_type"]]
            shown = sides if annotation.get("hand_type_valid", 1) else None
            for side in sides:
                own = valid[_FIRST[side] : _FIRST[side] + N_JOINTS][_ORDER]
                if own.any():
                    view, file_name = views[capture, camera], picture["file_name"]
                    hands.append(_Hand(part, file_name, size_px, view, pose, side, own.tobytes(), shown))
    except (KeyError, TypeError, ValueError) as error:
        raise HandposeError(f"{data_file}: not the annotations of InterHand2.6M ({error!r})") from error
    return hands


def _packed(content: dict) -> dict:
    """Keep what is used of an annotation, its 42 flags as bytes: a million of them as lists would take 8 GB."""
    if "joint_valid" not in content:
        return content
    try:
        valid = np.array(content["joint_valid"], float).reshape(2 * N_JOINTS) > 0
    except (TypeError, ValueError):
        return content  # told where it is used
    used = {key: content[key] for key in ("image_id", "hand_type", "hand_type_valid") if key in content}
    return used | {"joint_valid": valid.tobytes()}


def _read_views(path: Path) -> dict[tuple[str, str], _View]:
    """Read the cameras by (capture, camera)."""
    content = read_json(path)
    views = {}
    try:
        for capture, cameras in content.items():
            for camera, place in cameras["campos"].items():
                rotation = np.array(cameras["camrot"][camera], float).reshape(3, 3)
                (fx, fy), (cx, cy) = cameras["focal"][camera], cameras["princpt"][camera]
                if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3):
                    raise HandposeError(f"{path}: camera {camera} of capture {capture} is not rotated by a rotation")
                centre = (float(cx), float(cy))
                views[capture, camera] = _View(
                    np.array(place, float).reshape(3), rotation, (float(fx), float(fy)), centre
                )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise HandposeError(f"{path}: not the cameras of InterHand2.6M ({error!r})") from error
    return views


def _read_poses(path: Path) -> tuple[dict[tuple[str, str], int], np.ndarray, np.ndarray]:
    """Read world joints: their rows by (capture, frame), (N, 42, 3) [mm], and which are valid (N, 42)."""
    content = read_json(path)
    rows: dict[tuple[str, str], int] = {}
    world: list[np.ndarray] = []
    valid: list[np.ndarray] = []
    try:
        for capture, frames in content.items():
            for frame, pose in frames.items():
                rows[capture, frame] = len(world)
                joints = np.array(pose["world_coord"], np.float32).reshape(2 * N_JOINTS, 3)
                # Version 1.0 says here what could be triangulated; version 0.0 does not.
                flags = np.array(pose.get("joint_valid", np.ones(2 * N_JOINTS)), float).reshape(2 * N_JOINTS) > 0
                world.append(joints)
                valid.append(flags & np.isfinite(joints).all(-1))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise HandposeError(f"{path}: not the joints of InterHand2.6M ({error!r})") from error
    if not rows:
        raise HandposeError(f"{path}: no joints in it")
    return rows, np.array(world), np.array(valid)
