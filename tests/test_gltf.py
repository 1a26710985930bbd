"""Rigged hands from binary glTF: an invented file of known bones, the WebXR hands where they are, and files that are none."""

import json
import struct

import numpy as np
import pytest

from handpose.camera import Camera
from handpose.errors import HandposeError
from handpose.kinematics import HandPose, forward_kinematics, joint_frames
from handpose.rotation import exp_so3
from handpose.skeleton import M0, TIPS, WEBXR_NAMES, Skeleton
from handpose.synthesis import gltf, viewpoints
from handpose.synthesis.gltf import load_hand
from handpose.synthesis.poses import PoseSampler
from handpose.synthesis.render_hand import Look, render_hand

ANGLES = np.deg2rad([-10, 10, 15, 10] + [4, 18, 20, 12] * 4)


def glb(joints_m, vertices_m, triangles, bones, names=WEBXR_NAMES):
    """Write a rigged mesh as a .glb with one bone to a vertex."""
    bind = np.tile(np.eye(4), (len(joints_m), 1, 1))
    bind[:, :3, 3] = -joints_m
    weights = np.zeros((len(vertices_m), 4), np.float32)
    weights[:, 0] = 1
    influences = np.zeros((len(vertices_m), 4), np.uint8)
    influences[:, 0] = bones
    arrays = [
        (np.asarray(vertices_m, np.float32), 5126, "VEC3"),
        (influences, 5121, "VEC4"),
        (weights, 5126, "VEC4"),
        (np.asarray(triangles, np.uint16).ravel()[:, None], 5123, "SCALAR"),
        (bind.transpose(0, 2, 1).reshape(-1, 16).astype(np.float32), 5126, "MAT4"),
    ]
    binary, views, accessors = b"", [], []
    for array, component, kind in arrays:
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": array.nbytes})
        accessors.append({"bufferView": len(views) - 1, "componentType": component, "count": len(array), "type": kind})
        binary += array.tobytes() + b"\0" * (-array.nbytes % 4)
    attributes = {"POSITION": 0, "JOINTS_0": 1, "WEIGHTS_0": 2}
    tree = {
        "nodes": [{"name": name} for name in names],
        "skins": [{"joints": list(range(len(names))), "inverseBindMatrices": 4}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": 3}]}],
        "accessors": accessors,
        "bufferViews": views,
    }
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<4sII", b"glTF", 2, 28 + len(text) + len(binary))
    return head + struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary


def invented(side="left", angles=ANGLES):
    """A file whose hand is ours, bent by `angles` and turned: a little tetrahedron about every joint, none beyond the tips."""
    skeleton = Skeleton.default(side, 90.0)
    pose = HandPose(np.array([100.0, -40, 30]), np.array([0.4, -1.1, 2.0]), angles)
    joints = forward_kinematics(skeleton, pose.to_vector())
    corners = np.array([(1, 1, 1), (-1, -1, 1), (-1, 1, -1), (1, -1, -1)]) * 1.5
    vertices = (joints[:, None] + corners).reshape(-1, 3)
    faces = np.array([(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)])
    triangles = (4 * np.arange(21)[:, None, None] + faces).reshape(-1, 3)
    return skeleton, glb(joints / 1000, vertices / 1000, triangles, np.repeat(np.arange(21), 4))


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_hand_of_known_bones_comes_back_as_a_left_one(tmp_path, side):
    skeleton, content = invented(side)
    (tmp_path / "hand.glb").write_bytes(content)
    mesh, found = load_hand(tmp_path / "hand.glb")
    assert found.side == "left"
    np.testing.assert_allclose(found.bone_lengths_mm, skeleton.bone_lengths_mm, atol=0.02)
    # Its rest pose is flat: every tetrahedron lies about its joint of the open hand.
    nearest = np.linalg.norm(mesh.vertices_mm[:, None] - found.rest_joints_mm[None], axis=-1).min(1)
    assert nearest.max() < 2.7
    fingers = found.rest_joints_mm[5:].reshape(4, 4, 3)
    assert np.abs(np.diff(fingers, axis=1)[..., 2]).max() < 0.3


def test_a_vertex_without_bones_stays_with_the_wrist(tmp_path):
    _, content = invented()
    whole, weights = bytearray(content), np.repeat(np.eye(1, 4, dtype=np.float32), 84, 0).tobytes()
    at = content.index(weights)
    whole[at : at + 4] = bytes(4)
    (tmp_path / "hand.glb").write_bytes(bytes(whole))
    mesh, _ = load_hand(tmp_path / "hand.glb")
    assert np.isfinite(mesh.vertices_mm).all() and np.isfinite(mesh.weights).all()


@pytest.mark.parametrize(
    ("angles", "unit", "said"),
    [
        (0 * ANGLES, 1000, "too flat to tell its side"),
        (ANGLES, 10, "glTF is in metres"),
        (ANGLES, np.nan, "no numbers"),
    ],
)
def test_a_hand_that_cannot_be_used_is_named(tmp_path, angles, unit, said):
    joints = forward_kinematics(Skeleton.default(), np.concatenate([np.zeros(6), angles])) / unit
    (tmp_path / "hand.glb").write_bytes(glb(joints, joints, np.arange(21).reshape(7, 3), np.arange(21)))
    with pytest.raises(HandposeError, match=rf"hand\.glb: .*{said}"):
        load_hand(tmp_path / "hand.glb")


def test_unposing_is_skinning_undone():
    rng = np.random.default_rng(0)
    frames = exp_so3(rng.normal(0, 0.4, (21, 3)))
    joints, rest_joints, rest = rng.normal(0, 50, (21, 3)), rng.normal(0, 50, (21, 3)), rng.normal(0, 50, (40, 3))
    weights = rng.dirichlet(np.full(21, 0.05), 40)
    moved = np.einsum("bij,vbj->vbi", frames, rest[:, None] - rest_joints) + joints
    posed = np.einsum("vb,vbi->vi", weights, moved)
    np.testing.assert_allclose(gltf._unposed(posed, weights, frames, joints, rest_joints), rest, atol=1e-6)


def test_bind_frames_hit_every_joint_exactly():
    rng = np.random.default_rng(3)
    skeleton = Skeleton.default()
    joints = forward_kinematics(skeleton, np.concatenate([np.zeros(6), ANGLES]))
    for base in (1, 5, 9, 13, 17):  # no hinge reaches these
        for joint in range(base + 1, base + 4):
            bone = joints[joint] - joints[joint - 1] + rng.normal(0, 1.5, 3)
            joints[joint] = joints[joint - 1] + bone * skeleton.bone_lengths_mm[joint] / np.linalg.norm(bone)
    frames, _ = gltf._bind_frames(skeleton, joints)
    for joint in set(range(1, 21)) - set(TIPS):
        np.testing.assert_allclose(
            joints[joint] + frames[joint] @ skeleton.offsets_mm[joint + 1], joints[joint + 1], atol=1e-6
        )


@pytest.mark.parametrize("side", ["left", "right"])
def test_webxr_hands(shared_data, side):
    mesh, skeleton = load_hand(shared_data / "meshes" / "webxr_hand" / f"{side}.glb")
    assert 80 < skeleton.scale_mm < 105 and len(mesh.vertices_mm) < 1360
    assert 20 < skeleton.bone_lengths_mm[12] < 30  # the end of the middle finger, not the middle of its pad
    posed, _ = mesh.posed(skeleton, np.zeros(26), np.eye(3))
    np.testing.assert_allclose(posed, mesh.vertices_mm, atol=1e-9)
    rng = np.random.default_rng(0)
    for _ in range(3):
        pose = PoseSampler().sample(rng, skeleton)
        placed = viewpoints.place(skeleton, pose.angles_rad, viewpoints.look_from((0.3, 0, 1)), np.array([0, 0, 500.0]))
        result = render_hand(mesh, skeleton, placed, Camera(400, 400, 79.5, 79.5, (160, 160)), Look.sample(rng))
        columns, rows = np.round(result.joints_px).astype(int).T
        assert (result.alpha[rows, columns] > 0).mean() > 0.9
        np.testing.assert_allclose(joint_frames(skeleton, placed.to_vector())[1][M0, :2], 0, atol=1e-9)


@pytest.mark.parametrize("cut", [0, 3, 25, 400, -200])
def test_cut_off_files_get_one_line(tmp_path, cut):
    (tmp_path / "hand.glb").write_bytes(invented()[1][:cut])
    with pytest.raises(HandposeError, match=r"hand\.glb: no rigged hand"):
        load_hand(tmp_path / "hand.glb")


def test_other_rigs_and_missing_files_are_named(tmp_path):
    names = [name if name != "ring-finger-tip" else "Bone.017" for name in WEBXR_NAMES]
    (tmp_path / "other.glb").write_bytes(glb(np.eye(21, 3), np.zeros((3, 3)), [[0, 1, 2]], [0, 0, 0], names))
    with pytest.raises(HandposeError, match="no joint ring-finger-tip"):
        load_hand(tmp_path / "other.glb")
    with pytest.raises(HandposeError, match=r"absent\.glb: No such file"):
        load_hand(tmp_path / "absent.glb")
