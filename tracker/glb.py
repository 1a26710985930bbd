"""Tracks as binary glTF 2.0, which Blender, game engines and browsers open: a skinned hand of its size for each track, and the camera.

Metres and seconds; while a hand is not there it has no size.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from handpose.rotation import quaternions
from handpose.skeleton import N_JOINTS, PARENTS, TIPS, WEBXR_NAMES, WRIST, Skeleton
from tracker.animation import Clip

_FLOAT, _BYTE, _INDEX = 5126, 5121, 5125  # componentType
_DTYPES = {_FLOAT: "<f4", _BYTE: "u1", _INDEX: "<u4"}
_KINDS = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_VERTICES, _TRIANGLES = 34962, 34963  # what a graphics card uses a view for
_CUFF_MM = -30.0  # the forearm is left away from here on: how it is held is not known
_SKIN = {
    "name": "skin",
    "pbrMetallicRoughness": {"baseColorFactor": [0.72, 0.47, 0.36, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.6},
    "doubleSided": True,
}


def encode_glb(head: dict[str, Any], times_s: np.ndarray, clips: Sequence[Clip]) -> bytes:
    """Write clips whose frames are at times_s (T,) [s], and the header's camera, as a .glb file."""
    scene = _Scene()
    if head["camera"]:
        scene.add_camera(head["camera"], head["size_px"])
    for clip in clips:
        scene.add_clip(clip, times_s[clip.first :][: len(clip.there)] - times_s[0])
    return scene.to_bytes()


class _Scene:
    """A glTF tree, and the numbers it refers to."""

    def __init__(self) -> None:
        self._binary = bytearray()
        self._lists: dict[str, list] = {
            name: [] for name in ("nodes", "cameras", "meshes", "skins", "materials", "animations", "accessors", "bufferViews")
        }  # fmt: skip
        self._roots: list[int] = []

    def to_bytes(self) -> bytes:
        tree: dict[str, Any] = {"asset": {"version": "2.0", "generator": "ganerated-hands"}, "scene": 0}
        tree["scenes"] = [{"nodes": self._roots}] if self._roots else [{}]
        tree |= {name: entries for name, entries in self._lists.items() if entries}  # an empty list is no glTF
        if self._binary:
            tree["buffers"] = [{"byteLength": len(self._binary)}]
        text = json.dumps(tree).encode()
        chunks = b""
        for kind, content, filling in ((b"JSON", text, b" "), (b"BIN\0", bytes(self._binary), b"\0")):
            if content:
                content += filling * (-len(content) % 4)
                chunks += struct.pack("<I4s", len(content), kind) + content
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks

    def add_camera(self, camera: dict[str, float], size_px: list[int]) -> None:
        """Add the camera that took the frames, of `size_px` (width, height); glTF knows of no lens that distorts or is off the middle."""
        width, height = size_px
        view = {"yfov": 2 * math.atan(height / 2 / camera["fy"]), "znear": 0.01}
        view["aspectRatio"] = width / camera["fx"] / (height / camera["fy"])
        self._add("cameras", {"type": "perspective", "perspective": view})
        self._roots.append(self._add("nodes", {"name": "camera", "camera": 0}))

    def add_clip(self, clip: Clip, times_s: np.ndarray) -> None:
        """Add a hand and how it moves, at times_s (T,) from the first frame of all on [s]."""
        if not self._lists["animations"]:
            self._add("animations", {"name": "tracks", "channels": [], "samplers": []})
        self._times = self._numbers(times_s[:, None], _FLOAT, extremes=True)
        root_m, turns = clip.root_mm / 1000, _quaternions(clip.turns)
        joints = [len(self._lists["nodes"]) + joint for joint in range(N_JOINTS)]
        for joint, offset_mm in enumerate(clip.skeleton.offsets_mm):
            node: dict[str, Any] = {"name": WEBXR_NAMES[joint], "rotation": turns[0, joint].tolist()}
            node["translation"] = (root_m[0] if joint == WRIST else offset_mm / 1000).tolist()
            if (children := np.flatnonzero(joint == PARENTS)).size:
                node["children"] = [joints[child] for child in children]
            self._add("nodes", node)
            if joint not in TIPS:
                self._animate(joints[joint], "rotation", turns[:, joint])
        self._animate(joints[WRIST], "translation", root_m)
        self._animate(joints[WRIST], "scale", np.repeat(clip.there[:, None], 3, axis=1), "STEP")
        # Without a node of its own above its joints, Blender takes all hands for one armature.
        armature = self._add("nodes", {"name": clip.name, "children": [joints[WRIST]]})
        surface = {"mesh": self._mesh(clip), "skin": self._skin(clip, joints, armature)}
        self._roots += [armature, self._add("nodes", {"name": f"{clip.name}-surface"} | surface)]

    def _animate(self, node: int, path: str, values: np.ndarray, interpolation: str = "LINEAR") -> None:
        animation = self._lists["animations"][0]
        animation["channels"].append({"sampler": len(animation["samplers"]), "target": {"node": node, "path": path}})
        sampler = {"input": self._times, "output": self._numbers(values, _FLOAT), "interpolation": interpolation}
        animation["samplers"].append(sampler)

    def _mesh(self, clip: Clip) -> int:
        vertices_mm, normals, triangles, influences = _surface(clip.skeleton)
        bones = np.argsort(-influences, axis=1, kind="stable")[:, :4]
        weights = np.take_along_axis(influences, bones, axis=1)
        weights /= weights.sum(axis=1, keepdims=True)
        attributes = {
            "POSITION": self._numbers(vertices_mm / 1000, _FLOAT, _VERTICES, extremes=True),
            "NORMAL": self._numbers(normals, _FLOAT, _VERTICES),
            "JOINTS_0": self._numbers(np.where(weights > 0, bones, 0), _BYTE, _VERTICES),
            "WEIGHTS_0": self._numbers(weights, _FLOAT, _VERTICES),
        }
        indices = self._numbers(triangles.reshape(-1, 1), _INDEX, _TRIANGLES)
        material = 0 if self._lists["materials"] else self._add("materials", _SKIN)
        part = {"attributes": attributes, "indices": indices, "material": material}
        return self._add("meshes", {"name": clip.name, "primitives": [part]})

    def _skin(self, clip: Clip, joints: list[int], armature: int) -> int:
        """Bind the surface to the joints of the hand at rest with its wrist at the origin."""
        joint_from_mesh = np.tile(np.eye(4), (N_JOINTS, 1, 1))
        joint_from_mesh[:, :3, 3] = -clip.skeleton.rest_joints_mm / 1000
        columns = joint_from_mesh.transpose(0, 2, 1).reshape(N_JOINTS, 16)
        skin = {"name": clip.name, "joints": joints, "skeleton": armature}
        return self._add("skins", skin | {"inverseBindMatrices": self._numbers(columns, _FLOAT)})

    def _numbers(self, values: np.ndarray, kind: int, use: int | None = None, extremes: bool = False) -> int:
        """Add an accessor of numbers (count, width)."""
        numbers = values.astype(_DTYPES[kind])
        view = {"buffer": 0, "byteOffset": len(self._binary), "byteLength": numbers.nbytes}
        self._binary += numbers.tobytes() + b"\0" * (-numbers.nbytes % 4)
        accessor: dict[str, Any] = {
            "bufferView": self._add("bufferViews", view | ({"target": use} if use else {})),
            "componentType": kind, "count": len(numbers), "type": _KINDS[numbers.shape[1]],
        }  # fmt: skip
        if extremes:
            accessor |= {"min": numbers.min(axis=0).tolist(), "max": numbers.max(axis=0).tolist()}
        return self._add("accessors", accessor)

    def _add(self, name: str, entry: dict[str, Any]) -> int:
        self._lists[name].append(entry)
        return len(self._lists[name]) - 1


def _surface(skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Build a hand around a skeleton: vertices (V, 3) [mm], normals (V, 3), triangles (T, 3), and weights (V, 21) of the joints."""
    from handpose.synthesis.build_hand import build_hand
    from handpose.synthesis.mesh import FOREARM

    mesh = build_hand(skeleton) if skeleton.side == "left" else build_hand(skeleton.mirrored()).mirrored()
    triangles = mesh.triangles[(mesh.vertices_mm[mesh.triangles, 1] > _CUFF_MM).any(axis=1)]
    kept, triangles = np.unique(triangles, return_inverse=True)
    influences = np.zeros((len(kept), N_JOINTS))
    bones = np.where(mesh.bones == FOREARM, WRIST, mesh.bones)[kept]
    np.add.at(influences, (np.arange(len(kept))[:, None], bones), mesh.weights[kept])
    vertices_mm = np.maximum(mesh.vertices_mm[kept], (-np.inf, _CUFF_MM, -np.inf))
    return vertices_mm, mesh.normals[kept], triangles.reshape(-1, 3), influences


def _quaternions(turns: np.ndarray) -> np.ndarray:
    """Turn rotations (T, J, 3, 3) into quaternions (T, J, 4), x y z w, each nearer to the one before than its negative is."""
    found = np.roll(quaternions(turns), -1, axis=-1)
    products = (found[1:] * found[:-1]).sum(axis=-1, keepdims=True)
    found[1:] *= np.cumprod(np.where(products < 0, -1.0, 1.0), axis=0)
    return found
