"""Render the clip of `tracker --demo` with its truth: a right hand that turns, counts, closes and opens, 5 s at 30 frames/s.

usage: python tools/make_demo.py     writes tracker/demo/hand.mp4 and tracker/demo/truth.npz; the truth is the same each time, bytes of the video are the encoder's
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from handpose.camera import Camera
from handpose.kinematics import HandPose
from handpose.rotation import exp_so3, log_so3
from handpose.skeleton import Skeleton
from handpose.synthesis.build_hand import build_hand
from handpose.synthesis.look import Look
from handpose.synthesis.render_hand import render_hand

FOLDER = Path(__file__).resolve().parents[1] / "tracker" / "demo"
SIZE_PX, FPS, N_FRAMES = (480, 360), 30, 150
_SIDE = max(SIZE_PX)
_SEED = 11

_OPEN = {"thumb": (-0.1, 0.1, 0.1, 0.1), "finger": (0.1, 0.1, 0.05)}
_CLOSED = {"thumb": (-0.35, 0.45, 0.7, 0.7), "finger": (1.35, 1.6, 0.9)}
_SPREAD = {"index": 0.16, "middle": 0.0, "ring": -0.12, "little": 0.2}
# Time [s], and the fingers that are open.
_GESTURES = (
    (0.0, "thumb index middle ring little"),
    (0.7, "thumb index middle ring little"),
    (1.2, ""),
    (1.6, ""),
    (2.0, "index"),
    (2.3, "index"),
    (2.6, "index middle"),
    (2.9, "index middle"),
    (3.2, "index middle ring little"),
    (3.6, "index middle ring little"),
    (4.0, "thumb index middle ring little"),
    (5.0, "thumb index middle ring little"),
)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    skeleton = Skeleton.default("right")
    mesh = build_hand(Skeleton.default("left")).mirrored()
    square = Camera.from_fov((_SIDE, _SIDE), 55)
    top = (_SIDE - SIZE_PX[1]) // 2
    camera = replace(square, cy=square.cy - top, size_px=SIZE_PX)
    rng = np.random.default_rng(_SEED)
    look = demo_look(rng)
    background = demo_room(np.random.default_rng(_SEED))
    FOLDER.mkdir(exist_ok=True)
    writer = cv2.VideoWriter(str(FOLDER / "hand.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), FPS, SIZE_PX)
    joints_mm, joints_px, poses = [], [], []
    for index in range(N_FRAMES):
        pose = demo_pose(index / FPS)
        seen = render_hand(mesh, skeleton, pose, square, look)
        share = seen.alpha[..., None] / 255
        picture = seen.rgb * share + background * (1 - share) + rng.normal(0, 1.5, seen.rgb.shape)
        sharp = cv2.GaussianBlur(picture, (0, 0), 0.6).clip(0, 255).astype(np.uint8)[top : top + SIZE_PX[1]]
        writer.write(cv2.cvtColor(sharp, cv2.COLOR_RGB2BGR))
        joints_mm.append(seen.joints_mm)
        joints_px.append(camera.project(seen.joints_mm))
        poses.append(pose.to_vector())
    writer.release()
    np.savez_compressed(
        FOLDER / "truth.npz",
        joints_mm=np.array(joints_mm, np.float32), joints_px=np.array(joints_px, np.float32),
        poses=np.array(poses, np.float32), side="right", camera=json.dumps(camera.to_dict()),
    )  # fmt: skip
    print(f"{N_FRAMES} frames, {(FOLDER / 'hand.mp4').stat().st_size / 1000:.0f} kB")


def demo_pose(time_s: float) -> HandPose:
    """Give the hand's pose at a time [s]."""
    turn = 2 * np.pi * time_s / 5
    upright = exp_so3(np.array([np.pi, 0, 0]))  # fingers up, the palm to the camera
    sway = exp_so3(np.array([0.25 * np.sin(2 * turn), 0.75 * np.sin(turn), 0.35 * np.sin(turn + 0.6)]))
    place = np.array([50 * np.sin(turn), 92 + 12 * np.cos(2 * turn), 440 + 45 * np.sin(turn + 1)])
    return HandPose(place, log_so3(sway @ upright), _angles(time_s))


def _angles(time_s: float) -> np.ndarray:
    """Blend the gestures before and after a time [s] into joint angles (20,)."""
    times = [time for time, _ in _GESTURES]
    after = int(np.clip(np.searchsorted(times, time_s, side="right"), 1, len(times) - 1))
    share = np.clip((time_s - times[after - 1]) / (times[after] - times[after - 1]), 0, 1)
    share = share * share * (3 - 2 * share)
    before, then = (_gesture(_GESTURES[i][1].split()) for i in (after - 1, after))
    return before + share * (then - before)


def _gesture(fingers: list[str]) -> np.ndarray:
    angles = [(_OPEN if "thumb" in fingers else _CLOSED)["thumb"]]
    for name, spread in _SPREAD.items():
        is_open = name in fingers
        angles.append((spread if is_open else 0.0, *(_OPEN if is_open else _CLOSED)["finger"]))
    return np.array(angles).ravel()


def demo_room(rng: np.random.Generator) -> np.ndarray:
    """Draw a wall with a window, a picture and a desk, out of focus, (S, S, 3)."""
    light = np.linspace(1.0, 0.7, _SIDE)[None, :, None]
    room = np.full((_SIDE, _SIDE, 3), (186, 178, 160), float) * light
    cv2.rectangle(room, (12, 70), (130, 260), (226, 234, 240), -1)
    cv2.rectangle(room, (12, 70), (130, 260), (120, 96, 74), 7)
    cv2.line(room, (71, 70), (71, 260), (120, 96, 74), 5)
    cv2.rectangle(room, (350, 95), (440, 215), (58, 84, 104), -1)
    cv2.circle(room, (395, 160), 28, (206, 158, 84), -1)
    cv2.rectangle(room, (0, 355), (_SIDE, _SIDE), (128, 92, 62), -1)
    grain = cv2.resize(rng.normal(0, 9, (60, 8)).astype(np.float32), (_SIDE, _SIDE - 355))
    room[355:] += grain[..., None]
    return cv2.GaussianBlur(room, (0, 0), 4).clip(0, 255)


def demo_look(rng: np.random.Generator) -> Look:
    """Take a medium skin under a bright room's light, a bare arm without a ring."""
    return replace(
        Look.sample(rng), back=np.array([0.50, 0.31, 0.22]), palm=np.array([0.58, 0.38, 0.31]), nail=np.array([0.62, 0.43, 0.37]),
        mottle=0.1, sleeve_mm=np.inf, ring=(-1, 0.0), wrist_bend_rad=np.array([0.05, 0.0]),
    )  # fmt: skip


if __name__ == "__main__":
    main()
