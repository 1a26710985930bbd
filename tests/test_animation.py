"""Tracks as BVH and glTF: read back by the formats' own rules, joints and surface are where the track file has them."""

import errno
import json
import os
import struct
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from handpose.errors import HandposeError
from handpose.kinematics import forward_kinematics
from handpose.skeleton import ANGLE_LIMITS_RAD, N_JOINTS, TIPS, WEBXR_NAMES, Skeleton
from handpose.synthesis.build_hand import build_hand
from handpose.synthesis.gltf import load_hand
from tracker import cli, late_writer
from tracker.hand import State, TrackedHand
from tracker.track_file import frame_row, header, open_writer

CAMERA = {"fx": 600.0, "fy": 620.0, "cx": 319.5, "cy": 239.5, "origin": "given"}
SCALES = {1: 83.0, 2: 101.0}  # |W-M0| [mm] of the hand of each id
SEEN = {1: range(1, 24), 2: [*range(5), *range(9, 20)]}
TIMES_S = np.arange(24) / 30
UNEVEN_S = np.arange(24) / 30 + 0.02 * np.sin(np.arange(24)) ** 2
AXES, METRES = np.array([1, -1, -1]), 1000  # of a file, in the camera's and in millimetres


def pose(number, place):
    """A hand that turns right round, through every angle's limits."""
    low, high = ANGLE_LIMITS_RAD.T
    angles = low + (high - low) * (0.5 + 0.5 * np.sin(0.3 * place + np.arange(20) + number))
    turn = Rotation.from_rotvec([0.3 * number, 0, 0]) * Rotation.from_rotvec([0, 0.29 * place, 0.02 * place])
    return np.concatenate([[-80 + 10 * place, 20 * number, 500 - 6 * place], turn.as_rotvec(), angles])


def skeleton(number):
    hand = Skeleton.default("left" if number == 1 else "right", SCALES[number])
    return hand.with_bone_lengths(hand.bone_lengths_mm * np.linspace(0.8, 1.2, N_JOINTS))


def tracked(number, place):
    vector, hand = pose(number, place), skeleton(number)
    return TrackedHand(
        number, hand.side, State.TRACKED, 0.9, np.zeros((21, 2)), forward_kinematics(hand, vector), np.ones(21),
        np.ones((21, 2)), vector[:3], vector[3:6], vector[6:],
    )  # fmt: skip


def write(path, times_s=TIMES_S, seen=SEEN, camera=CAMERA):
    writer = open_writer(path, header("clip.mp4", 30.0, (640, 480), camera, "given", "some weights"))
    for place, time_s in enumerate(times_s):
        writer.write(frame_row(place, time_s, [tracked(number, place) for number in seen if place in seen[number]]))
    writer.close()
    return path


def read_bvh(path):
    """Give joint names with parent, offset and channels, the seconds of a frame, and each frame's numbers."""
    words = iter(path.read_text().split())
    joints, open_joints, names = [], [], []
    assert next(words) == "HIERARCHY"
    for word in words:
        if word in ("ROOT", "JOINT", "End"):
            joints.append({"name": next(words), "parent": open_joints[-1] if open_joints else -1, "channels": []})
        elif word == "{":
            open_joints.append(len(joints) - 1)
        elif word == "}":
            open_joints.pop()
        elif word == "OFFSET":
            joints[-1]["offset"] = np.array([float(next(words)) for _ in range(3)])
        elif word == "CHANNELS":
            joints[-1]["channels"] = [next(words) for _ in range(int(next(words)))]
            names += joints[-1]["channels"]
        else:
            break
    assert word == "MOTION" and next(words) == "Frames:"
    count = int(next(words))
    assert [next(words), next(words)] == ["Frame", "Time:"]
    interval_s = float(next(words))
    numbers = np.array([float(word) for word in words]).reshape(count, len(names))
    return joints, interval_s, numbers


def bvh_joints(joints, numbers):
    """Follow the hierarchy for one frame: places (J, 3) [cm]."""
    places, turns, values = [], [], iter(numbers)
    for joint in joints:
        shift, turn = joint["offset"], Rotation.identity()
        taken = dict(zip(joint["channels"], values, strict=False)) if joint["channels"] else {}
        for channel, value in taken.items():
            if channel.endswith("position"):
                shift = shift + value * np.eye(3)["XYZ".index(channel[0])]
            else:
                turn = turn * Rotation.from_euler(channel[0], value, degrees=True)
        parent = joint["parent"]
        places.append(shift if parent < 0 else places[parent] + turns[parent].apply(shift))
        turns.append(turn if parent < 0 else turns[parent] * turn)
    return np.array(places)


def test_bvh_brings_every_joint_back(tmp_path):
    joints, interval_s, numbers = read_bvh(write(tmp_path / "t.bvh"))
    assert interval_s == pytest.approx(1 / 30) and len(numbers) == len(TIMES_S)
    assert [joint["name"] for joint in joints if joint["parent"] < 0] == ["right-hand-2-wrist", "left-hand-1-wrist"]
    for place in range(len(TIMES_S)):
        found = 10 * bvh_joints(joints, numbers[place]).reshape(2, N_JOINTS, 3) * AXES
        for number, hand in ((2, found[0]), (1, found[1])):
            if place in SEEN[number]:
                np.testing.assert_allclose(hand, forward_kinematics(skeleton(number), pose(number, place)), atol=0.1)
    assert (numbers[5:9, :51] == numbers[4, :51]).all(), "a hand that is not seen stays where it was"
    assert (numbers[0, 51:] == numbers[1, 51:]).all(), "or will be"


def test_bvh_angles_do_not_jump(tmp_path):
    """The hands turn right round: a turn of 180 degrees and one of -180 are the same, and past 90 the two others turn over."""
    joints, _, numbers = read_bvh(write(tmp_path / "t.bvh", seen={1: range(24)}))
    turning = [channel.endswith("rotation") for joint in joints for channel in joint["channels"]]
    assert np.abs(np.diff(numbers[:, turning], axis=0)).max() < 60


def test_bvh_frames_are_evenly_spaced_though_the_times_are_not(tmp_path):
    times_s = 5 + np.array([0, 1, 2, 6, 6.4, 7]) / 30
    _, interval_s, numbers = read_bvh(write(tmp_path / "t.bvh", times_s, {1: range(6)}))
    _, _, plain = read_bvh(write(tmp_path / "plain.bvh", np.arange(6) / 30, {1: range(6)}))
    assert interval_s == pytest.approx(1 / 30)
    np.testing.assert_array_equal(numbers[:, :3], plain[[0, 1, 2, 2, 2, 3, 3, 5]][:, :3])


class Glb:
    """A binary glTF file, read by the rules of glTF 2.0."""

    def __init__(self, path):
        content = path.read_bytes()
        magic, version, length, size, kind = struct.unpack("<4sIII4s", content[:20])
        assert (magic, version, length, kind, size % 4) == (b"glTF", 2, len(content), b"JSON", 0)
        self.tree = json.loads(content[20 : 20 + size])
        self.binary = content[28 + size :]
        if "buffers" in self.tree:
            assert struct.unpack("<I4s", content[20 + size : 28 + size]) == (len(self.binary), b"BIN\0")
            assert len(self.binary) - 4 < self.tree["buffers"][0]["byteLength"] <= len(self.binary)
        for view in self.tree.get("bufferViews", []):
            assert view["byteOffset"] % 4 == 0 and view["byteOffset"] + view["byteLength"] <= len(self.binary)

    def numbers(self, index):
        accessor = self.tree["accessors"][index]
        dtype = {5126: "<f4", 5121: "u1", 5125: "<u4"}[accessor["componentType"]]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[accessor["type"]]
        start = self.tree["bufferViews"][accessor["bufferView"]]["byteOffset"]
        values = np.frombuffer(self.binary, dtype, accessor["count"] * width, start).reshape(-1, width)
        if "min" in accessor:
            assert (values.min(0) == accessor["min"]).all() and (values.max(0) == accessor["max"]).all()
        return values.astype(float)

    def globals(self, time_s):
        """Give world_from_node (nodes, 4, 4) at a time."""
        parts = [
            {"translation": [0, 0, 0], "rotation": [0, 0, 0, 1], "scale": [1, 1, 1]} | node
            for node in self.tree["nodes"]
        ]
        (animation,) = self.tree["animations"]
        for channel in animation["channels"]:
            sampler = animation["samplers"][channel["sampler"]]
            times, values = self.numbers(sampler["input"])[:, 0], self.numbers(sampler["output"])
            assert times[0] >= 0 and (np.diff(times) > 0).all() and len(times) == len(values)
            target, now_s = channel["target"], np.clip(time_s, times[0], times[-1])
            parts[target["node"]][target["path"]] = self._between(sampler, target["path"], times, values, now_s)
        world = np.zeros((len(parts), 4, 4))

        def place(node, parent):
            local = np.eye(4)
            local[:3, :3] = Rotation.from_quat(parts[node]["rotation"]).as_matrix() * parts[node]["scale"]
            local[:3, 3] = parts[node]["translation"]
            world[node] = parent @ local
            for child in parts[node].get("children", []):
                place(child, world[node])

        for root in self.tree["scenes"][0]["nodes"]:
            place(root, np.eye(4))
        return world

    @staticmethod
    def _between(sampler, path, times, values, time_s):
        if sampler["interpolation"] == "STEP":
            return values[np.searchsorted(times, time_s + 1e-6) - 1]
        if path == "rotation":
            assert ((values[1:] * values[:-1]).sum(-1) > 0).all(), "the shorter way round"
            return Slerp(times, Rotation.from_quat(values))(time_s).as_quat()
        return [np.interp(time_s, times, column) for column in values.T]


@pytest.fixture(scope="module")
def glb(tmp_path_factory):
    return Glb(write(tmp_path_factory.mktemp("glb") / "t.glb", UNEVEN_S + 2.0))


def test_glb_brings_every_joint_back(glb):
    clips = {skin["name"]: skin for skin in glb.tree["skins"]}
    assert set(clips) == {"left-hand-1", "right-hand-2"}
    for place, time_s in enumerate(UNEVEN_S):
        world = glb.globals(time_s)
        for number, name in ((1, "left-hand-1"), (2, "right-hand-2")):
            nodes = clips[name]["joints"]
            assert [glb.tree["nodes"][node]["name"] for node in nodes] == list(WEBXR_NAMES)
            if place in SEEN[number]:
                joints = forward_kinematics(skeleton(number), pose(number, place))
                np.testing.assert_allclose(world[nodes, :3, 3] * METRES * AXES, joints, atol=0.1)
            else:
                assert (world[nodes, :3, :3] == 0).all(), "a hand that is not seen has no size"


def test_a_hand_that_was_there_for_a_moment_takes_no_more_than_that_moment(tmp_path):
    """Its keys: the frame before it, its three, and the one after; a clip of many short tracks must not grow by all frames for each."""
    files = [Glb(write(tmp_path / f"{count}.glb", np.arange(count) / 30, {1: range(10, 13)})) for count in (20, 400)]
    for file in files:
        (times,) = {sampler["input"] for sampler in file.tree["animations"][0]["samplers"]}
        np.testing.assert_allclose(file.numbers(times)[:, 0], np.arange(9, 14) / 30, atol=1e-6)
    assert len(files[0].binary) == len(files[1].binary)


def test_the_surface_goes_with_the_joints(glb):
    """Skinned by the rules of glTF, it is our own renderer's hand, but for the forearm."""
    skins, meshes = ({entry["name"]: entry for entry in glb.tree[kind]} for kind in ("skins", "meshes"))
    for number, name in ((1, "left-hand-1"), (2, "right-hand-2")):
        (part,) = meshes[name]["primitives"]
        names = ("POSITION", "NORMAL", "JOINTS_0", "WEIGHTS_0")
        vertices, normals, bones, weights = (glb.numbers(part["attributes"][attribute]) for attribute in names)
        triangles = glb.numbers(part["indices"]).astype(int).reshape(-1, 3)
        assert triangles.max() == len(vertices) - 1 and np.unique(triangles).size == len(vertices)
        a, b, c = (vertices[triangles[:, i]] for i in range(3))
        assert np.mean((np.cross(b - a, c - a) * normals[triangles[:, 0]]).sum(-1) > 0) > 0.99, "faces outwards"
        np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
        joint_from_mesh = glb.numbers(skins[name]["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        matrices = glb.globals(UNEVEN_S[10])[skins[name]["joints"]] @ joint_from_mesh
        blended = (weights[..., None, None] * matrices[bones.astype(int)]).sum(1)
        skinned = (blended @ np.c_[vertices, np.ones(len(vertices))][..., None])[:, :3, 0] * METRES * AXES
        hand = build_hand(skeleton(1)) if number == 1 else build_hand(skeleton(2).mirrored()).mirrored()
        posed, _ = hand.posed(skeleton(number), pose(number, 10), np.eye(3))
        kept = np.abs(hand.vertices_mm[:, None] / 1000 - vertices[None]).max(-1).argmin(0)
        above = vertices[:, 1] > -0.0299  # there the forearm is cut off straight
        # The file's hand is built around lengths that were rounded to a hundredth of a millimetre.
        np.testing.assert_allclose(skinned[above], posed[kept][above], atol=0.5)


def test_glb_is_a_hand_for_the_renderer(tmp_path):
    """`handpose render --mesh` reads it as any WebXR hand, at its own size."""
    _, read = load_hand(write(tmp_path / "t.glb", seen={1: range(24)}))
    np.testing.assert_allclose(
        np.delete(read.bone_lengths_mm, TIPS), np.delete(skeleton(1).bone_lengths_mm, TIPS), atol=0.1
    )


def test_glb_has_the_camera(glb):
    (camera,) = glb.tree["cameras"]
    view = camera["perspective"]
    assert 2 * np.tan(view["yfov"] / 2) * CAMERA["fy"] == pytest.approx(480)
    assert 2 * np.tan(view["yfov"] / 2) * view["aspectRatio"] * CAMERA["fx"] == pytest.approx(640)


@pytest.mark.parametrize("times_s", [[], [0.0], [0.0, 0.1]])
def test_without_a_hand_the_files_are_empty_and_whole(tmp_path, times_s):
    joints, _, numbers = read_bvh(write(tmp_path / "t.bvh", times_s, {}))
    assert joints == [] and len(numbers) == (4 if len(times_s) == 2 else len(times_s))
    tree = Glb(write(tmp_path / "t.glb", times_s, {}, None)).tree
    assert tree["scenes"] == [{}] and not {"nodes", "animations", "buffers"} & set(tree)


def test_a_hand_whose_side_changes_is_two(tmp_path):
    hands = [tracked(1, 0), tracked(1, 1), replace(tracked(2, 2), id=1)]
    for name in ("t.bvh", "t.glb"):
        writer = open_writer(tmp_path / name, header("clip.mp4", 30.0, (640, 480), CAMERA, "given", "some weights"))
        for place, hand in enumerate(hands):
            writer.write(frame_row(place, place / 30, [hand]))
        writer.close()
    joints, _, numbers = read_bvh(tmp_path / "t.bvh")
    glb = Glb(tmp_path / "t.glb")
    assert [skin["name"] for skin in glb.tree["skins"]] == ["left-hand-1", "right-hand-1"]
    for place, hand in enumerate(hands):
        which = int(hand.side == "right")
        found = 10 * bvh_joints(joints, numbers[place]).reshape(2, N_JOINTS, 3) * AXES
        np.testing.assert_allclose(found[which], hand.joints_mm, atol=0.1)
        world = glb.globals(place / 30)[glb.tree["skins"][which]["joints"]]
        np.testing.assert_allclose(world[:, :3, 3] * METRES * AXES, hand.joints_mm, atol=0.1)


@pytest.mark.parametrize("name", ["t.bvh", "t.glb", "t.npz"])
def test_who_stops_it_at_the_end_keeps_what_was_there(tmp_path, monkeypatch, name):
    (tmp_path / name).write_text("from before")
    writer = open_writer(tmp_path / name, header("clip.mp4", 30.0, (640, 480), CAMERA, "given", "some weights"))

    def stopped(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    writer.write(frame_row(0, 0.0, [tracked(1, 0)]))
    monkeypatch.setattr(os, "fsync", stopped)
    with pytest.raises(HandposeError, match=f"{name}: cannot be written .No space"):
        writer.close()
    assert (tmp_path / name).read_text() == "from before"
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["t.bvh", "t.glb", "t.npz"])
def test_a_second_ctrl_c_is_told(tmp_path, monkeypatch, name):
    writer = open_writer(tmp_path / name, header("clip.mp4", 30.0, (640, 480), CAMERA, "given", "some weights"))

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(late_writer, "write_whole", stopped)
    with pytest.raises(HandposeError, match=f"{name}: was interrupted and is not written"):
        writer.close()


def test_pictures_do_not_move(tmp_path, capsys):
    with pytest.raises(HandposeError, match=r"t\.bvh: an animation needs the frames of a video"):
        open_writer(tmp_path / "t.bvh", header("photos", None, None, None, "default", "some weights"))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"")
    (tmp_path / "t.jsonl").write_text("from before")
    outputs = [str(tmp_path / name) for name in ("t.jsonl", "t.glb")]
    assert cli.main(["--images", str(tmp_path / "photos"), "--output", *outputs]) == 1
    assert "t.glb: pictures do not move" in capsys.readouterr().err
    assert (tmp_path / "t.jsonl").read_text() == "from before"
