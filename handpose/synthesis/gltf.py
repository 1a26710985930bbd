"""Read a rigged hand from a binary glTF (.glb) whose 25 joints have the WebXR names, as a mesh and a skeleton of a left hand.

The file's hand may rest in any pose; of a flat one its name has to tell the side. It is first brought into our flat rest pose, bone by bone, and keeps its own sizes and weights.
"""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np

from handpose.errors import HandposeError
from handpose.kinematics import fk_and_jacobian, joint_frames
from handpose.skeleton import BASES, DEFAULT_SCALE_MM, M0, N_JOINTS, PARENTS, SIDES, TIPS, WEBXR_NAMES, WRIST, Skeleton
from handpose.synthesis.mesh import FOREARM, N_BONES, HandMesh, forearm_share

_METACARPALS = tuple(
    f"{finger}-finger-metacarpal" for finger in ("index", "middle", "ring", "pinky")
)  # they move with the wrist
_DTYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_TIP_UNDER_SKIN_MM = 3.0
_SCALES_MM = (50.0, 150.0)  # |W-M0|, of children and giants
_LEAST_BEND, _LEAST_BONE_MM = 0.05, 1.0  # of |W-M0|
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_RADII = np.array(
    [(11, 10.5, 9.5, 7), (10, 9, 8, 6.5), (10, 9, 8, 6.5), (9.5, 8.5, 7.5, 6), (8.5, 7.5, 6.5, 5.5)]
)  # mm


def load_hand(path: Path) -> tuple[HandMesh, Skeleton]:
    """Read a hand of either side; it comes back as a left one.

    Raises HandposeError naming the file where it is no such hand.
    """
    try:
        joints_m, vertices_m, triangles, weights, named = _read(Path(path).read_bytes())
    except OSError as error:
        raise HandposeError(f"{path}: {error.strerror}") from error
    except (KeyError, IndexError, ValueError, TypeError, struct.error) as error:
        raise HandposeError(f"{path}: no rigged hand in binary glTF with WebXR joint names ({error})") from error
    joints, vertices = 1000 * joints_m, 1000 * vertices_m
    try:
        right = _side(joints, named)
    except ValueError as error:
        raise HandposeError(f"{path}: {error}") from error
    return rigged(joints, vertices, triangles, weights, right)


def rigged(
    joints: np.ndarray, vertices: np.ndarray, triangles: np.ndarray, weights: np.ndarray, right: bool | None = None
) -> tuple[HandMesh, Skeleton]:
    """Bring a rigged hand of either side and any pose into our rest pose of a left one.

    joints (21, 3), vertices (V, 3) [mm], outward triangles (T, 3), weights (V, 21) of the bones that begin at the joints.
    Whether it is a `right` one is told by its fingers' bend where it is not given.
    """
    if _bend_mm(joints) < 0 if right is None else right:
        joints, vertices, triangles = joints * (-1, 1, 1), vertices * (-1, 1, 1), triangles[:, ::-1]
    vertices, joints = _in_wrist_frame(vertices, joints), _in_wrist_frame(joints, joints)
    joints = _with_tips_at_the_skin(joints, vertices, weights)
    skeleton = _skeleton(joints)
    rest = _unposed(vertices, weights, *_bind_frames(skeleton, joints), skeleton.rest_joints_mm)
    mesh = HandMesh.skinned(skeleton, rest, triangles, _RADII * skeleton.scale_mm / DEFAULT_SCALE_MM)
    return replace(mesh, **_influences(weights, rest)), skeleton


def _read(content: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, str]:
    """Joints (21, 3), vertices (V, 3) [m], triangles (T, 3) and weights (V, 21) of the file's bind pose, and its skin's name."""
    magic, _, _, length, kind = struct.unpack("<4sIII4s", content[:20])
    if magic != b"glTF" or kind != b"JSON":
        raise ValueError("not a .glb file")
    tree = json.loads(content[20 : 20 + length])
    binary = content[20 + length + 8 :]
    skin = tree["skins"][0]
    names = [tree["nodes"][node]["name"] for node in skin["joints"]]
    if missing := [name for name in WEBXR_NAMES if name not in names]:
        raise ValueError(f"no joint {missing[0]}")
    part = tree["meshes"][0]["primitives"][0]
    bind = np.linalg.inv(_array(tree, binary, skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1))
    joints = bind[[names.index(name) for name in WEBXR_NAMES], :3, 3]
    vertices = _array(tree, binary, part["attributes"]["POSITION"])
    triangles = _array(tree, binary, part["indices"]).reshape(-1, 3).astype(int)
    bones = [0 if name in _METACARPALS else WEBXR_NAMES.index(name) for name in names]
    weights = np.zeros((len(vertices), N_JOINTS))
    influences = np.array(bones)[_array(tree, binary, part["attributes"]["JOINTS_0"]).astype(int)]
    np.add.at(
        weights, (np.arange(len(vertices))[:, None], influences), _array(tree, binary, part["attributes"]["WEIGHTS_0"])
    )
    vertices, triangles, first = merged(vertices, triangles, decimals=6)
    weights = weights[first]
    weights[weights.sum(1) == 0, WRIST] = 1.0  # a vertex without bones stays with the wrist
    weights /= weights.sum(1, keepdims=True)
    return joints, vertices, triangles, weights, str(skin.get("name", ""))


def _side(joints: np.ndarray, named: str) -> bool:
    """Say whether joints (21, 3) [mm] are a right hand's, where they are flat by the skin's name.

    Raises ValueError where they are those of no hand of a size that hands have, or nothing tells the side.
    """
    scale = float(np.linalg.norm(joints[M0] - joints[WRIST]))
    if not _SCALES_MM[0] < scale < _SCALES_MM[1]:
        raise ValueError(f"its middle knuckle is {scale:.0f} mm from its wrist; glTF is in metres")
    if np.linalg.norm(joints - joints[PARENTS], axis=-1)[1:].min() < _LEAST_BONE_MM:
        raise ValueError("two of its joints lie on one place")
    if abs(_bend_mm(joints)) >= _LEAST_BEND * scale:
        return _bend_mm(joints) < 0
    words = [side for side in SIDES if side in named.lower()]
    if len(words) != 1:
        raise ValueError(
            "it rests too flat to tell its side; bend its fingers towards the palm, or name its skin left or right"
        )
    return words == ["right"]


def merged(vertices: np.ndarray, triangles: np.ndarray, decimals: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Join vertices that seams of the texture double: without seams in its light are then vertices (V, 3), triangles (T, 3).

    Vertices of no triangle are dropped. The third array (V,) says which of the old vertices the new ones are.
    """
    rounded = np.round(vertices * 10**decimals).astype(int)
    _, first, new = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
    triangles = new.ravel()[triangles]
    triangles = triangles[(triangles != np.roll(triangles, 1, axis=1)).all(1)]
    used, triangles = np.unique(triangles, return_inverse=True)
    return vertices[first[used]], triangles.reshape(-1, 3), first[used]


def _array(tree: dict, binary: bytes, index: int) -> np.ndarray:
    """Read an accessor (count, width) as numbers."""
    accessor = tree["accessors"][index]
    view = tree["bufferViews"][accessor["bufferView"]]
    dtype, width = np.dtype(_DTYPES[accessor["componentType"]]), _WIDTHS[accessor["type"]]
    offset = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    stride = view.get("byteStride", dtype.itemsize * width)
    if offset + stride * (accessor["count"] - 1) + dtype.itemsize * width > len(binary):
        raise ValueError("the file is cut off")
    shape, strides = (accessor["count"], width), (stride, dtype.itemsize)
    values = np.ndarray(shape, dtype, binary, offset, strides).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it holds coordinates or weights that are no numbers")
    return values


def _palm_axes(joints: np.ndarray) -> np.ndarray:
    """Axes (3, 3), in rows, that are the wrist frame's of a left hand: x away from the thumb, y to M0, z out of the palm."""
    y = joints[M0] - joints[WRIST]
    y = y / np.linalg.norm(y)
    across = joints[BASES[4]] - joints[BASES[1]]
    x = across - (across @ y) * y
    x = x / np.linalg.norm(x)
    return np.stack([x, y, np.cross(x, y)])


def _bend_mm(joints: np.ndarray) -> float:
    """Tell how far tips lie before the palm of a left hand, in the mean [mm]."""
    return float(((joints[TIPS] - joints[M0]) @ _palm_axes(joints)[2]).mean())


def _in_wrist_frame(points: np.ndarray, joints: np.ndarray) -> np.ndarray:
    return (points - joints[WRIST]) @ _palm_axes(joints).T


def _with_tips_at_the_skin(joints: np.ndarray, vertices: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Move tips that rigs put into the pad of the finger out to its end, where every data set labels them."""
    joints = joints.copy()
    for tip in TIPS:
        bone = joints[tip] - joints[tip - 1]
        length = np.linalg.norm(bone)
        mine = weights[:, tip - 1] + weights[:, tip] > 0.5
        reach = ((vertices[mine] - joints[tip - 1]) @ bone / length).max(initial=0) - _TIP_UNDER_SKIN_MM
        joints[tip] = joints[tip - 1] + bone * max(reach / length, 1.0)
    return joints


def _skeleton(joints: np.ndarray) -> Skeleton:
    """The hand's own palm and bone lengths, with fingers that rest flat in our directions."""
    ours = Skeleton.default("left")
    lengths = np.linalg.norm(joints - joints[PARENTS], axis=-1)
    offsets = ours.with_bone_lengths(np.maximum(lengths, 1.0)).offsets_mm.copy()
    offsets[BASES] = joints[BASES] - joints[WRIST]
    return Skeleton("left", offsets, ours.axes)


def _bind_frames(skeleton: Skeleton, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (21, 3, 3) of the bones in the file's pose, which hits every joint exactly, and the joints themselves."""
    vector = np.zeros(26)
    for _ in range(60):
        reached, jacobian = fk_and_jacobian(skeleton.offsets_mm, skeleton.axes, vector)
        lever = jacobian[:, :, 6:].reshape(-1, 20)
        vector[6:] += np.linalg.solve(lever.T @ lever + 4.0 * np.eye(20), lever.T @ (joints - reached).ravel())
    frames = joint_frames(skeleton, vector)[0]
    for joint in range(1, N_JOINTS):
        if joint in TIPS:
            frames[joint] = frames[joint - 1]
            continue
        # What the hinges could not reach is left to the smallest turn that does.
        is_now = frames[joint] @ skeleton.offsets_mm[joint + 1]
        frames[joint] = _smallest_turn(is_now, joints[joint + 1] - joints[joint]) @ frames[joint]
    return frames, joints


def _smallest_turn(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) that turns direction a into direction b, which is less than half a turn away."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    v = np.cross(a, b)
    k = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + k + k @ k / max(1 + a @ b, 1e-6)


def _unposed(vertices, weights, frames, joints, rest_joints) -> np.ndarray:
    """Bring vertices (V, 3) of the file's pose into the rest pose: linear blend skinning, undone."""
    linear = np.einsum("vb,bij->vij", weights, frames)
    shift = weights @ (joints - np.einsum("bij,bj->bi", frames, rest_joints))
    return np.linalg.solve(linear, (vertices - shift)[..., None])[..., 0]


def _influences(weights: np.ndarray, rest: np.ndarray) -> dict[str, np.ndarray]:
    """The file's own weights as the mesh keeps them: four bones to a vertex, the stump handed over to the forearm."""
    arm = forearm_share(rest)[:, None]
    full = np.zeros((len(weights), N_BONES))
    full[:, :N_JOINTS] = weights * (1 - arm)
    full[:, FOREARM] += arm[:, 0]
    bones = np.argsort(-full, axis=1, kind="stable")[:, :4]
    kept = np.take_along_axis(full, bones, axis=1)
    return {"bones": bones.astype(np.int32), "weights": kept / kept.sum(1, keepdims=True)}
