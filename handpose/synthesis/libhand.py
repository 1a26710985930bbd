"""Read the LibHand hand (Marin Saric, 2011; CC BY 3.0), rigged and photographed, as a textured mesh and a skeleton of a left hand.

A folder with `libhand_hand.npz` (the released mesh as arrays: pos, uv, tris_skin, weights, bone_names, bind_global) and the released
photograph of its skin, `hand_texture.png`. Its forearm ends 4 cm behind the wrist; ours goes on.
"""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import map_coordinates

from handpose.errors import HandposeError
from handpose.images import read_image
from handpose.skeleton import DEFAULT_SCALE_MM, M0, N_JOINTS, TIPS, WRIST, Skeleton
from handpose.synthesis import LIBHAND
from handpose.synthesis.backgrounds import shared_data
from handpose.synthesis.gltf import merged, rigged
from handpose.synthesis.mesh import HandMesh

_MESH, _TEXTURE = "libhand_hand.npz", "hand_texture.png"
_FINGERS = (5, 4, 3, 2, 1)  # by LibHand's numbers, from the thumb
_MOLES, _MOLE_SIZE = ((0.4536, 0.7935), (0.2246, 0.8945)), 0.0085  # uv; always the same spot would be a landmark
_TEXTURE_SHRUNK = 4  # to about the distance of the mesh's vertices, lest single pixels are picked
_STEP_MM, _STEPS, _WIDER = 20.0, 14, 1 / 400  # rings of the forearm that is added, and how it widens per mm
_FADED_STEPS = 3  # over so many rings the skin of the photograph's end becomes its mean
_TINTS = (0.3, 2.5)


def recognises(path: Path) -> bool:
    """Say whether a `--mesh` means this hand: the word `libhand`, or a folder."""
    return Path(path) == Path(LIBHAND) or Path(path).is_dir()


def load_hand(path: Path) -> tuple[HandMesh, Skeleton]:
    """Read the hand from its folder, or where `libhand` names no folder, from the shared data; it comes back as a left one.

    Its `tint` is the photograph's skin over its mean colour, so that any skin can be drawn with it. Raises HandposeError naming
    what is missing or broken.
    """
    skin, texture = files(path)
    joints, vertices, uv, triangles, weights = _read(skin)
    colours = _linear_colours(read_image(texture), uv)
    vertices, triangles, first = merged(vertices, triangles)
    joints, vertices, triangles, weights, colours = _with_forearm(
        joints, vertices, triangles, weights[first], colours[first]
    )
    mesh, skeleton = rigged(joints, vertices, triangles, weights)
    return replace(mesh, tint=_tint(colours, mesh.palmar)), skeleton


def files(path: Path) -> tuple[Path, Path]:
    """Give the files of the mesh and of the photograph of its skin. Raises HandposeError where there is no such folder."""
    folder = _folder(Path(path))
    return folder / _MESH, folder / _TEXTURE


def hand_of(source: str) -> tuple[HandMesh, Skeleton] | None:
    """Give the hand that a source of training is rendered with, None for our own. Raises HandposeError as `load_hand` does."""
    return load_hand(Path(source)) if source == LIBHAND else None


def _folder(path: Path) -> Path:
    if path.is_dir():
        return path
    data = shared_data()
    if data is None or not (data / "meshes" / LIBHAND).is_dir():
        raise HandposeError(
            f"{path}: no shared data with this hand; give a folder with {_MESH} and {_TEXTURE}, or put one named {LIBHAND} here"
        )
    return data / "meshes" / LIBHAND


def _read(path: Path) -> tuple[np.ndarray, ...]:
    """Read the skin: joints (21, 3) and vertices (V, 3) [mm], uv (V, 2), triangles (T, 3), weights (V, 21)."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = arrays["bone_names"].tolist()
            vertices, uv = arrays["pos"].astype(float), arrays["uv"].astype(float)
            triangles, weights = arrays["tris_skin"].astype(int), arrays["weights"].astype(float)
            bones = arrays["bind_global"].astype(float)
        joints, full = np.zeros((N_JOINTS, 3)), np.zeros((len(vertices), N_JOINTS))
        joints[WRIST] = bones[names.index("metacarpals"), :3, 3]
        left_over = set(range(len(names)))  # the palm's bones and the forearm's, which all move with the wrist
        for tip, number in zip(TIPS, _FINGERS, strict=True):
            for part in (1, 2, 3):
                bone, joint = names.index(f"finger{number}joint{part}"), tip - 4 + part
                joints[joint], full[:, joint] = bones[bone, :3, 3], weights[:, bone]
                left_over.remove(bone)
            # No bone ends at the tip: it lies towards the middle of the last bone's skin, as far as `rigged` finds skin.
            joints[tip] = np.average(vertices, axis=0, weights=full[:, tip - 1] ** 4)
        full[:, WRIST] = weights[:, sorted(left_over)].sum(1)
        scale = DEFAULT_SCALE_MM / np.linalg.norm(joints[M0] - joints[WRIST])
        if triangles.shape[1:] != (3,) or triangles.max() >= len(vertices) or uv.shape != (len(vertices), 2):
            raise ValueError("its arrays do not fit together")
    except OSError as error:
        raise HandposeError(f"{path}: {error.strerror or error}") from error
    except (KeyError, ValueError, IndexError, ZeroDivisionError, EOFError, zipfile.BadZipFile) as error:
        raise HandposeError(f"{path}: not the arrays of LibHand's mesh ({error})") from error
    return scale * joints, scale * vertices, uv, triangles, full


def _linear_colours(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Look the photograph up, without its moles, at uv (V, 2), row = v * height: linear RGB (V, 3)."""
    height, width = texture.shape[:2]
    moles = np.zeros((height, width), np.uint8)
    for u, v in _MOLES:
        cv2.circle(moles, (round(u * width), round(v * height)), round(_MOLE_SIZE * width), 255, -1)
    linear: np.ndarray = (cv2.inpaint(texture, moles, 5, cv2.INPAINT_TELEA) / 255.0) ** 2.2
    height, width = height // _TEXTURE_SHRUNK, width // _TEXTURE_SHRUNK
    small = cv2.resize(linear, (width, height), interpolation=cv2.INTER_AREA)
    places = (uv * (width, height) - 0.5).T[::-1]
    return np.stack(
        [map_coordinates(channel, places, order=1, mode="nearest") for channel in np.moveaxis(small, -1, 0)], 1
    )


def _with_forearm(joints, vertices, triangles, weights, colours) -> tuple[np.ndarray, ...]:
    """Let the open end of the forearm grow on, ring by ring, away from M0."""
    away = (joints[WRIST] - joints[M0]) / np.linalg.norm(joints[WRIST] - joints[M0])
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    known = set(map(tuple, edges.tolist()))
    behind = (vertices - joints[WRIST]) @ away
    end = np.array([(a, b) for a, b in known if (b, a) not in known and min(behind[a], behind[b]) > 20.0]).reshape(
        -1, 2
    )
    rim = np.unique(end)
    if not len(rim):
        return joints, vertices, triangles, weights, colours
    along = behind[rim, None] * away
    centre = (vertices[rim] - along).mean(0)
    new_vertices, new_triangles, new_colours = [vertices], [triangles], [colours]
    start, place = end, np.searchsorted(rim, end)
    for step in range(1, _STEPS + 1):
        far = len(vertices) + (step - 1) * len(rim) + place
        grown = (vertices[rim] - along - centre) * (1 + _WIDER * _STEP_MM * step)
        new_vertices.append(centre + along + grown + step * _STEP_MM * away)
        fade = min(step / _FADED_STEPS, 1.0)
        new_colours.append((1 - fade) * colours[rim] + fade * colours[rim].mean(0))
        new_triangles += [
            np.stack([start[:, 1], start[:, 0], far[:, 0]], 1),
            np.stack([start[:, 1], far[:, 0], far[:, 1]], 1),
        ]
        start = far
    new_vertices.append(new_vertices[-1].mean(0, keepdims=True))  # the middle of the disc that closes it
    new_colours.append(new_colours[-1].mean(0, keepdims=True))
    middle = np.full(len(start), len(vertices) + _STEPS * len(rim))
    new_triangles.append(np.stack([start[:, 1], start[:, 0], middle], 1))
    weights = np.concatenate([weights, np.tile(weights[rim], (_STEPS, 1)), weights[rim[:1]]])
    return joints, np.concatenate(new_vertices), np.concatenate(new_triangles), weights, np.concatenate(new_colours)


def _tint(colours: np.ndarray, palmar: np.ndarray) -> np.ndarray:
    """Colours (V, 3) over the mean of the palm's and the back's skin, each with its own: what is left are veins, folds and nails."""
    share = palmar[:, None]
    back, palm = (np.average(colours, axis=0, weights=side) for side in (1 - palmar, palmar))
    return np.clip(colours / (back + share * (palm - back)), *_TINTS)
