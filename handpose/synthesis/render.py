"""`handpose render`: left hands on green in the SynthHands layout, with depth, alpha, joints and a contact sheet."""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from handpose import cluster
from handpose.atomic import clear_unfinished
from handpose.camera import Camera
from handpose.claim import claim
from handpose.command import require
from handpose.data import synth_hands
from handpose.data.synth_hands import CHROMA, COLOUR_CAMERA, COLOUR_FROM_DEPTH_MM, DEPTH_CAMERA, SIZE_PX
from handpose.draw import contact_sheet, draw_skeleton
from handpose.kinematics import HandPose, forward_kinematics
from handpose.skeleton import Skeleton
from handpose.synthesis import gltf, libhand, viewpoints
from handpose.synthesis.poses import PoseSampler
from handpose.synthesis.render_hand import Look, sample_shape
from handpose.synthesis.tight import render_tight

_FRAME = 3  # the chance of frames, apart from that of training items
_SHEET, _SHEET_COLUMNS, _THUMBNAIL = 40, 8, (160, 120)
_SETTINGS, _CONTACT_SHEET = "render.json", "contact_sheet.png"
_MARGIN_PX = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `handpose render`."""
    parser.add_argument("--n", type=int, required=True, help="how many pictures")
    parser.add_argument(
        "--o", type=Path, required=True, metavar="DIR", help="folder to write; an unfinished render goes on"
    )
    parser.add_argument(
        "--mesh",
        type=Path,
        metavar="FILE",
        help="a glTF hand (.glb) with WebXR joint names, or libhand; default: our own hands",
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same bytes (default 0)")
    cluster.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Render. Returns the exit code; raises HandposeError where the folder or the mesh cannot be used."""
    require(args, n=1, seed=0)
    mesh = args.mesh.resolve() if args.mesh and args.mesh.exists() else args.mesh  # the word libhand is no path
    work = partial(_render, args.o.resolve(), args.seed, mesh)
    _renderer(*work.args[1:])  # a mesh that cannot be used is told before a folder is made
    frames = [synth_hands.frame_path(args.o, index) for index in range(args.n)]
    missing = [index for index, frame in enumerate(frames) if not synth_hands.is_written(frame)]
    rendered = cluster.map_jobs(work, missing, args.address, args.workers)  # as is a wrong --workers; it begins below
    claim(args.o, _SETTINGS, {"n": args.n, "seed": args.seed, "mesh": _known_as(mesh) if mesh else None})
    if len(missing) < args.n:
        print(f"{args.n - len(missing)} of {args.n} pictures are there already; going on")
    try:
        for _ in tqdm(rendered, total=len(missing), unit="picture", desc="rendering", disable=None):
            pass
    except KeyboardInterrupt:
        done = sum(map(synth_hands.is_written, frames))
        print(f"stopped after {done} of {args.n}; the same command goes on")
        return 0
    clear_unfinished(args.o)
    _write_contact_sheet(args.o)
    print(f"{args.n} pictures in {args.o}; look at {args.o / _CONTACT_SHEET}")
    return 0


def _known_as(mesh: Path) -> str:
    """Name a mesh by its file and what is in it, so that another of the same name is told from it."""
    files = libhand.files(mesh) if libhand.recognises(mesh) else [mesh]
    return f"{mesh.name} {hashlib.sha256(b''.join(file.read_bytes() for file in files)).hexdigest()[:12]}"


def _render(folder: Path, seed: int, mesh_file: Path | None, index: int) -> None:
    synth_hands.write(synth_hands.frame_path(folder, index), *_renderer(seed, mesh_file).frame(index))


@lru_cache(1)
def _renderer(seed: int, mesh_file: Path | None) -> HandRenderer:
    return HandRenderer(seed, mesh_file)


class HandRenderer:
    """Renders frame `index` from (seed, index) alone."""

    def __init__(self, seed: int, mesh_file: Path | None = None):
        """`mesh_file` is a glTF hand, or LibHand's folder. Raises HandposeError where it cannot be used."""
        self.seed, self.poses = seed, PoseSampler()
        reader = libhand if mesh_file and libhand.recognises(mesh_file) else gltf
        self.mesh = reader.load_hand(mesh_file) if mesh_file else None

    def frame(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Give what `synth_hands.write` takes: colour, alpha, on_depth, depth_mm, joints_mm in the depth camera's frame."""
        rng = np.random.default_rng((self.seed, _FRAME, index))
        mesh, skeleton = self.mesh or sample_shape(rng)
        pose, look = self._pose(rng, skeleton), Look.sample(rng)
        colour, alpha, _, _ = _picture(mesh, skeleton, pose, look, COLOUR_CAMERA)
        depth_pose = replace(pose, wrist_translation_mm=pose.wrist_translation_mm - COLOUR_FROM_DEPTH_MM)
        on_depth, _, depth_mm, joints_mm = _picture(mesh, skeleton, depth_pose, look, DEPTH_CAMERA)
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


def _picture(mesh, skeleton: Skeleton, pose: HandPose, look: Look, camera: Camera) -> tuple[np.ndarray, ...]:
    """Render colour on green (480, 640, 3), alpha and depth_mm (480, 640), joints_mm (21, 3)."""
    seen = render_tight(mesh, skeleton, pose, camera, look)
    return _on_green(seen.rgb, seen.alpha), seen.alpha, np.where(seen.alpha > 127, seen.depth_mm, 0), seen.joints_mm


def _on_green(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None].astype(np.float32) / 255
    return np.round(rgb * share + np.array(CHROMA, np.float32) * (1 - share)).astype(np.uint8)


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
