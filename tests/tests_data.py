"""Small data that several tests write."""

import errno
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from handpose.camera import Camera
from handpose.kinematics import forward_kinematics
from handpose.skeleton import BONES, Skeleton


def write_photo_set(folder: Path, count: int = 8) -> Path:
    """Write a photo set of stick hands, labelled exactly."""
    rng = np.random.default_rng(0)
    camera = Camera.from_fov((200, 160))
    (folder / "images").mkdir(parents=True)
    labels = {}
    for i in range(count):
        side = "left" if i % 2 else "right"
        vector = np.r_[rng.uniform(-40, 40, 2), 500, np.pi + rng.normal(0, 0.2), 0, 0, rng.uniform(0, 0.5, 20)]
        joints = camera.project(forward_kinematics(Skeleton.default(side), vector))
        image = rng.integers(60, 120, (160, 200, 3), dtype=np.uint8)
        for parent, child in BONES:
            cv2.line(image, joints[parent].astype(int).tolist(), joints[child].astype(int).tolist(), (120, 160, 230), 7)
        cv2.imwrite(str(folder / "images" / f"{i}.png"), image)
        labels[f"{i}.png"] = [{"side": side, "joints_px": joints.tolist()}]
    (folder / "pseudo_labels.json").write_text(json.dumps(labels))
    return folder


def made_a_pipe(picture: Path) -> tuple[Path, Path]:
    """Put a pipe that nobody fills in a picture's place: who reads it waits there. Gives its path, and where the picture is kept."""
    kept = picture.with_suffix(".kept")
    picture.rename(kept)
    os.mkfifo(picture)
    return picture, kept


def full_after(count: int) -> Callable[[Path, Path], None]:
    """Give an `os.replace` of a disk that is full once `count` files are in their places."""
    replace, left = os.replace, iter(range(count))

    def replace_or_fail(draft: Path, path: Path) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(draft, path)

    return replace_or_fail


def wait_for(condition, seconds: float):
    """Wait until a condition gives something true, and give that; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found
