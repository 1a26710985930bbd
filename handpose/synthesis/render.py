"""`handpose render`: left hands on green in the SynthHands layout, with depth, alpha, joints and a contact sheet."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from handpose.camera import Camera
from handpose.data import synth_hands
from handpose.data.synth_hands import CHROMA, COLOUR_CAMERA, COLOUR_FROM_DEPTH_MM, DEPTH_CAMERA, SIZE_PX
from handpose.draw import contact_sheet, draw_skeleton
from handpose.errors import HandposeError
from handpose.kinematics import HandPose, forward_kinematics
from handpose.skeleton import Skeleton
from handpose.synthesis import viewpoints
from handpose.synthesis.gltf import load_hand
from handpose.synthesis.poses import PoseSampler
from handpose.synthesis.render_hand import Look, render_hand, sample_shape

_FRAME = 3  # the chance of frames, apart from that of training items
_SHEET, _SHEET_COLUMNS, _THUMBNAIL = 40, 8, (160, 120)
_SETTINGS, _CONTACT_SHEET = "render.json", "contact_sheet.png"
_MARGIN_PX = 20
_COARSE = 8  # px of the picture to one of the coarse look


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `handpose render`."""
    parser.add_argument("--n", type=int, required=True, help="how many pictures")
    parser.add_argument(
        "--o", type=Path, required=True, metavar="DIR", help="folder to write; an unfinished render goes on"
    )
    parser.add_argument(
        "--mesh", type=Path, metavar="FILE", help="a glTF hand (.glb) with WebXR joint names; default: our own hands"
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same bytes (default 0)")


def run(args: argparse.Namespace) -> int:
    """Render. Returns the exit code; raises HandposeError where the folder or the mesh cannot be used."""
    if args.n < 1 or args.seed < 0:
        raise HandposeError("--n must be at least 1 and --seed at least 0")
    hands = HandRenderer(args.seed, args.mesh)
    _claim(args.o, {"n": args.n, "seed": args.seed, "mesh": args.mesh.name if args.mesh else None})
    frames = [synth_hands.frame_path(args.o, index) for index in range(args.n)]
    missing = [index for index, frame in enumerate(frames) if not synth_hands.is_written(frame)]
    if len(missing) < args.n:
        print(f"{args.n - len(missing)} of {args.n} pictures are there already; going on")
    try:
        for index in tqdm(missing, unit="picture", desc="rendering", disable=None):
            synth_hands.write(frames[index], *hands.frame(index))
    except KeyboardInterrupt:
        done = sum(map(synth_hands.is_written, frames))
        print(f"stopped after {done} of {args.n}; the same command goes on")
        return 0
    _write_contact_sheet(args.o)
    print(f"{args.n} pictures in {args.o}; look at {args.o / _CONTACT_SHEET}")
    return 0


class HandRenderer:
    """Renders frame `index` from (seed, index) alone."""

    def __init__(self, seed: int, mesh_file: Path | None = None):
        """`mesh_file` is a glTF hand. Raises HandposeError where it cannot be used."""
        self.seed, self.poses = seed, PoseSampler()
        self.mesh = load_hand(mesh_file) if mesh_file else None

    def frame(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Give what `synth_hands.write` takes: colour, alpha, on_depth, depth_mm, joints_mm in the depth camera's frame."""
        rng = np.random.default_rng((self.seed, _FRAME, index))
        mesh, skeleton = self.mesh or sample_shape(rng)
        pose, look = self._pose(rng, skeleton), Look.sample(rng)
        colour, alpha, _, _ = _whole_picture(mesh, skeleton, pose, look, COLOUR_CAMERA)
        depth_pose = replace(pose, wrist_translation_mm=pose.wrist_translation_mm - COLOUR_FROM_DEPTH_MM)
        on_depth, _, depth_mm, joints_mm = _whole_picture(mesh, skeleton, depth_pose, look, DEPTH_CAMERA)
        return colour, alpha, on_depth, depth_mm, joints_mm

    def _pose(self, rng: np.random.Generator, skeleton: Skeleton) -> HandPose:
        """Draw a pose whose joints all lie inside the colour picture."""
        drawn = self.poses.sample(rng, skeleton)
        low, high = np.full(2, _MARGIN_PX), np.array(SIZE_PX) - 1 - _MARGIN_PX
        for attempt in range(30):
            camera_from_wrist, distance = viewpoints.sample_view(rng)
            distance = max(0.85 * distance, 280) * (1 + 0.05 * attempt)
            at = COLOUR_CAMERA.unproject(rng.uniform(low, high), np.array(distance))
            pose = viewpoints.place(skeleton, drawn.angles_rad, camera_from_wrist, at)
            joints_px = COLOUR_CAMERA.project(forward_kinematics(skeleton, pose.to_vector()))
            if (joints_px >= low).all() and (joints_px <= high).all():
                return pose
        middle = COLOUR_CAMERA.unproject((low + high) / 2, np.array(800.0))
        return viewpoints.place(skeleton, drawn.angles_rad, camera_from_wrist, middle)


def _whole_picture(mesh, skeleton: Skeleton, pose: HandPose, look, camera: Camera) -> tuple[np.ndarray, ...]:
    """Render a 640x480 picture: colour on green (480, 640, 3), alpha and depth_mm (480, 640), joints_mm (21, 3).

    A coarse look finds where the hand is; only a square about it is rendered in full.
    """
    side = max(SIZE_PX)
    coarse = replace(camera, size_px=(side, side)).scaled_to((side // _COARSE, side // _COARSE))
    rows, columns = np.nonzero(
        render_hand(mesh, skeleton, pose, coarse, look, supersample=1).alpha[: SIZE_PX[1] // _COARSE]
    )
    left, right = columns.min() * _COARSE - _COARSE, (columns.max() + 2) * _COARSE
    top, bottom = rows.min() * _COARSE - _COARSE, (rows.max() + 2) * _COARSE
    tile = int(max(right - left, bottom - top))
    moved = replace(camera, cx=camera.cx - int(left), cy=camera.cy - int(top), size_px=(tile, tile))
    seen = render_hand(mesh, skeleton, pose, moved, look)

    inside = slice(max(top, 0), min(top + tile, SIZE_PX[1])), slice(max(left, 0), min(left + tile, SIZE_PX[0]))
    part = slice(inside[0].start - top, inside[0].stop - top), slice(inside[1].start - left, inside[1].stop - left)
    colour = np.full(SIZE_PX[::-1] + (3,), CHROMA, np.uint8)
    alpha, depth_mm = np.zeros(SIZE_PX[::-1], np.uint8), np.zeros(SIZE_PX[::-1], np.float32)
    colour[inside] = _on_green(seen.rgb[part], seen.alpha[part])
    alpha[inside] = seen.alpha[part]
    depth_mm[inside] = np.where(seen.alpha[part] > 127, seen.depth_mm[part], 0)
    return colour, alpha, depth_mm, seen.joints_mm


def _on_green(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None].astype(np.float32) / 255
    return np.round(rgb * share + np.array(CHROMA, np.float32) * (1 - share)).astype(np.uint8)


def _claim(folder: Path, settings: dict) -> None:
    """Take an empty folder, or one of an unfinished render with the same settings; never write into anything else."""
    record = folder / _SETTINGS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if record.is_file():
            found = json.loads(record.read_text())
            if found != settings:
                raise HandposeError(f"{folder} holds a render with other settings ({found}); choose another folder")
        elif any(folder.iterdir()):
            raise HandposeError(f"{folder} is not empty and holds no render; choose another folder")
        else:
            record.write_text(json.dumps(settings) + "\n")
    except (OSError, ValueError) as error:
        raise HandposeError(f"{folder}: cannot be used ({error})") from error


def _write_contact_sheet(folder: Path) -> None:
    """Lay small pictures side by side, every other one with its joints drawn on it."""
    frames = synth_hands.read(folder)
    pictures = []
    for place, index in enumerate(np.linspace(0, len(frames) - 1, min(_SHEET, len(frames))).astype(int)):
        sample = frames[int(index)]
        picture = draw_skeleton(sample.image, sample.joints_px) if place % 2 else sample.image
        pictures.append(cv2.resize(picture, _THUMBNAIL, interpolation=cv2.INTER_AREA))
    sheet = cv2.imencode(".png", contact_sheet(pictures, _SHEET_COLUMNS)[..., ::-1])[1]
    (folder / _CONTACT_SHEET).write_bytes(sheet.tobytes())
