"""How much a measured hand helps: rendered hands of other sizes and fingers, tracked as the usual hand and as `tracker calibrate` measures them.

usage: python tools/measured_hands.py [--n 8]     absolute MPJPE [mm] of each hand on the clip that it was measured by
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from make_demo import demo_look, demo_pose, demo_room

from handpose.camera import Camera
from handpose.command import exit_code, require
from handpose.skeleton import FINGERS, N_JOINTS, Skeleton
from handpose.synthesis.build_hand import build_hand
from handpose.synthesis.render_hand import render_hand
from tracker import HandTracker
from tracker.calibrate import FingerMeter, hand_of_length, proportions
from tracker.load import load_detector, load_predictor

CAMERA = Camera.from_fov((480, 480), 55)
_FPS, _SECONDS = 10, 5.0


@dataclass(frozen=True, eq=False)
class Clip:
    """frames (n, 480, 480, 3) uint8 of a hand, its joints_mm (n, 21, 3), and its left Skeleton."""

    frames: np.ndarray
    joints_mm: np.ndarray
    hand: Skeleton


def main() -> None:
    """Print a line for each hand, and the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=8, help="hands")
    args, rows = parser.parse_args(), []
    require(args, n=1)
    for number in range(args.n):
        rows.append(errors_mm(clip_of(other_hand(number), number)))
        print(f"hand {number}: {_words(rows[-1])}", flush=True)
    print(f"mean: {_words({name: float(np.mean([row[name] for row in rows])) for name in rows[0]})}")


def other_hand(number: int) -> Skeleton:
    """Draw a left hand: |W-M0| of 80 to 105 mm, fingers 0.9 to 1.1 times the usual, each bone as much again."""
    rng = np.random.default_rng((77, number))
    times = np.clip(rng.normal(1, 0.05, N_JOINTS), 0.88, 1.12)
    times[1:] *= np.repeat(np.clip(rng.normal(1, 0.05, 5), 0.9, 1.1), 4)
    return Skeleton.default("left", rng.uniform(80, 105), times / times[9])


def clip_of(hand: Skeleton, number: int, seconds: float = _SECONDS) -> Clip:
    """Render the demo's motion with another hand; every second one is a right hand."""
    rng = np.random.default_rng((78, number))
    mesh, skeleton = build_hand(hand, rng.uniform(0.9, 1.1)), hand
    if number % 2:
        mesh, skeleton = mesh.mirrored(), hand.mirrored()
    look, room = demo_look(rng), demo_room(rng)
    frames, joints_mm = [], []
    for index in range(int(seconds * _FPS)):
        seen = render_hand(mesh, skeleton, demo_pose(index / _FPS), CAMERA, look)
        share = seen.alpha[..., None] / 255
        picture = seen.rgb * share + room * (1 - share) + rng.normal(0, 1.5, seen.rgb.shape)
        frames.append(cv2.GaussianBlur(picture, (0, 0), 0.6).clip(0, 255).astype(np.uint8))
        joints_mm.append(seen.joints_mm)
    return Clip(np.array(frames), np.array(joints_mm), hand)


def errors_mm(clip: Clip) -> dict[str, float]:
    """Track a clip as the usual hand, one of the right length, the measured one, and the true one: mean joint error [mm]."""
    networks: dict[str, Any] = {"predictor": load_predictor(), "detector": load_detector()}
    usual, length, meter = Skeleton.default("left"), _length(clip.hand), FingerMeter(CAMERA, **networks)
    error = {"usual": _error(meter, clip)}
    hands = {
        "length alone": usual.with_bone_lengths(usual.bone_lengths_mm * length / _length(usual)),
        "measured": hand_of_length(proportions(meter.looks), length),
        "true": clip.hand,
    }
    return error | {name: _error(HandTracker(CAMERA, 1, hand=hand, **networks), clip) for name, hand in hands.items()}


def _length(hand: Skeleton) -> float:
    return float(hand.finger_lengths_mm[FINGERS.index("middle")])


def _error(tracker: HandTracker, clip: Clip) -> float:
    hands = [tracker(frame, index / _FPS)[0] for index, frame in enumerate(clip.frames)]  # all frames show it plainly
    return float(np.linalg.norm(np.array([hand.joints_mm for hand in hands]) - clip.joints_mm, axis=-1).mean())


def _words(row: dict[str, float]) -> str:
    return ", ".join(f"{name} {error:.1f} mm" for name, error in row.items())


if __name__ == "__main__":
    raise SystemExit(exit_code("measured_hands", main))
