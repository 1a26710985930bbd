"""The textured LibHand hand: an invented file of known bones and colours, the real one in bent poses, and files that are none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import test_render_cli

from handpose.camera import Camera
from handpose.errors import HandposeError
from handpose.images import write_image
from handpose.kinematics import HandPose, forward_kinematics
from handpose.skeleton import BASES, M0, N_JOINTS, TIPS, WRIST, Skeleton
from handpose.synthesis import libhand, viewpoints
from handpose.synthesis.poses import PoseSampler
from handpose.synthesis.render import HandRenderer
from handpose.synthesis.render_hand import Look, render_hand

ANGLES = np.deg2rad([-5, 10, 15, 10] + [4, 18, 20, 12] * 4)
FIST = np.deg2rad([10, 20, 25, 35] + [0, 75, 85, 50] * 4)
UNITS_PER_MM = 1 / 48.0
NUMBERS = dict(zip(range(5), (5, 4, 3, 2, 1), strict=True))  # LibHand counts fingers from the little one
TETRAHEDRON = np.array([(1, 1, 1), (-1, -1, 1), (-1, 1, -1), (1, -1, -1)]) * 1.5
FACES = np.array([(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)])


def write(folder, **changed):
    """A right hand of ours, bent: a tetrahedron about every joint, those at the tips carried by the last bones."""
    skeleton = Skeleton.default("right", 90.0)
    joints = forward_kinematics(skeleton, HandPose(np.array([9.0, -4, 3]), np.array([0.4, -1, 2]), ANGLES).to_vector())
    names, carriers = ["root", "carpals", "metacarpals", "Bone"], {WRIST: 2}
    for finger, base in enumerate(BASES):
        for part in range(3):
            carriers[base + part] = len(names)
            names.append(f"finger{NUMBERS[finger]}joint{part + 1}")
        carriers[base + 3] = carriers[base + 2]
    bind = np.tile(np.eye(4), (len(names), 1, 1))
    for joint in sorted(set(carriers) - set(TIPS)):
        bind[carriers[joint], :3, 3] = UNITS_PER_MM * joints[joint]
    weights = np.zeros((4 * N_JOINTS, len(names)), np.float32)
    weights[np.arange(4 * N_JOINTS), [carriers[joint] for joint in np.repeat(np.arange(N_JOINTS), 4)]] = 1
    arrays = {
        "pos": (UNITS_PER_MM * (joints[:, None] + TETRAHEDRON)).reshape(-1, 3).astype(np.float32),
        "uv": np.random.default_rng(0).uniform(0.1, 0.9, (4 * N_JOINTS, 2)).astype(np.float32),
        "tris_skin": (4 * np.arange(N_JOINTS)[:, None, None] + FACES).reshape(-1, 3).astype(np.uint16),
        "weights": weights, "bone_names": np.array(names), "bind_global": bind,
    } | changed  # fmt: skip
    np.savez(folder / "libhand_hand.npz", **{name: array for name, array in arrays.items() if array is not None})
    write_image(folder / "hand_texture.png", np.full((64, 64, 3), (200, 150, 120), np.uint8))
    return skeleton


def winding(points, vertices, triangles):
    """How many times a surface goes round each of the points (N, 3): 0 outside of a closed one, 1 inside (by solid angles)."""
    turns = []
    for point in points:
        a, b, c = (vertices[triangles[:, i]] - point for i in range(3))
        la, lb, lc = (np.linalg.norm(x, axis=-1) for x in (a, b, c))
        dots = [(x * y).sum(-1) * z for x, y, z in ((a, b, lc), (b, c, la), (c, a, lb))]
        volume = (a * np.cross(b, c)).sum(-1)
        turns.append(np.arctan2(volume, la * lb * lc + sum(dots)).sum() / (2 * np.pi))
    return np.array(turns)


def test_a_hand_of_known_bones_comes_back_as_a_left_one_of_our_size(tmp_path):
    skeleton = write(tmp_path)
    mesh, found = libhand.load_hand(tmp_path)
    inner = np.setdiff1d(np.arange(N_JOINTS), TIPS)
    assert found.side == "left" and found.scale_mm == pytest.approx(94.7)
    np.testing.assert_allclose(found.bone_lengths_mm[inner], skeleton.bone_lengths_mm[inner] * 94.7 / 90, atol=0.02)
    nearest = np.linalg.norm(mesh.vertices_mm[:, None] - found.rest_joints_mm[None], axis=-1).min(1)
    carried_by_bones = ~np.isin(np.arange(4 * N_JOINTS) // 4, TIPS)
    assert np.sort(nearest)[: carried_by_bones.sum()].max() < 3
    np.testing.assert_allclose(mesh.tint, 1, atol=0.01)  # a skin of one colour


def test_the_texture_is_looked_up_at_row_v_times_height():
    ramp = np.zeros((512, 512, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(512) // 2, (np.arange(512) // 2)[:, None]
    uv = np.random.default_rng(1).uniform(0.02, 0.15, (200, 2))  # no mole is there
    colours = libhand._linear_colours(ramp, uv)
    np.testing.assert_allclose(255 * colours[:, :2] ** (1 / 2.2), 256 * uv, atol=1.5)
    assert not colours[:, 2].any()


def test_moles_are_painted_over():
    skin = np.full((512, 512, 3), 180, np.uint8)
    column, row = np.round(512 * np.array(libhand._MOLES[0])).astype(int)
    skin[row - 2 : row + 3, column - 2 : column + 3] = 20
    colours = libhand._linear_colours(skin, np.array(libhand._MOLES))
    np.testing.assert_allclose(255 * colours ** (1 / 2.2), 180, atol=3)


@pytest.fixture(scope="module")
def real(shared_data):
    return libhand.load_hand(shared_data / "meshes" / "libhand")


@pytest.mark.parametrize("name", ["flat", "fist", "sampled"])
def test_joints_lie_in_the_skin_in_bent_poses(real, name):
    mesh, skeleton = real
    angles = {"flat": np.zeros(20), "fist": FIST}.get(name)
    if angles is None:
        angles = PoseSampler().sample(np.random.default_rng(2), skeleton).angles_rad
    vector = np.r_[np.zeros(6), angles]
    posed, _ = mesh.posed(skeleton, vector, np.eye(3))
    joints = forward_kinematics(skeleton, vector)
    assert (winding(joints, posed, mesh.triangles) > 0.9).all()
    carried = [mesh.bones[np.arange(len(posed)), mesh.weights.argmax(1)] == bone for bone in range(N_JOINTS)]
    for finger, base in enumerate(BASES):
        for joint in range(base, base + 3):
            skin = posed[carried[joint]]
            middle, bone = (joints[joint] + joints[joint + 1]) / 2, joints[joint + 1] - joints[joint]
            away = np.linalg.norm(np.cross(skin.mean(0) - joints[joint], bone)) / np.linalg.norm(bone)
            if finger or joint > base:  # the ball of the thumb is no finger: its flesh lies on one side
                assert away < 6 and np.linalg.norm(skin.mean(0) - middle) < 14
        assert np.linalg.norm(posed[carried[base + 2]] - joints[base + 3], axis=-1).min() < 6
    if name == "fist":
        assert (joints[TIPS[1:], 1] < joints[BASES[1:] + 1, 1]).all()  # the fingertips came down to the palm


def test_it_is_a_whole_forearm_long_and_closed(real):
    mesh, skeleton = real
    away = -skeleton.rest_joints_mm[M0] / np.linalg.norm(skeleton.rest_joints_mm[M0])
    assert (winding(np.array([[60.0], [250.0]]) * away, mesh.vertices_mm, mesh.triangles) > 0.95).all()
    assert abs(winding(400.0 * away[None], mesh.vertices_mm, mesh.triangles)[0]) < 0.05


def test_its_skin_shows_the_photograph_in_any_colour_and_on_either_hand(real):
    mesh, skeleton = real
    camera = Camera(420, 420, 79.5, 79.5, (160, 160))
    look = Look.sample(np.random.default_rng(3))
    pose = viewpoints.place(skeleton, np.zeros(20), viewpoints.look_from((0, 0, -1)), np.array([0, 0, 600.0]))
    photographed = render_hand(mesh, skeleton, pose, camera, look)
    without = render_hand(replace(mesh, tint=None), skeleton, pose, camera, look)
    np.testing.assert_array_equal(photographed.alpha, without.alpha)
    inside = photographed.alpha == 255
    difference = np.abs(photographed.rgb.astype(int) - without.rgb)[inside]
    assert difference.mean() > 4  # the photograph is seen
    ratio = photographed.rgb[inside].mean(0) / without.rgb[inside].mean(0)
    np.testing.assert_allclose(ratio, 1, atol=0.2)  # but in the skin that was drawn

    other = mesh.mirrored()
    np.testing.assert_array_equal(other.tint, mesh.tint)


def test_the_renderer_takes_it_by_word_or_by_folder(shared_data, monkeypatch, tmp_path):
    monkeypatch.setenv("HANDPOSE_SHARED_DATA", str(shared_data))
    monkeypatch.chdir(tmp_path)
    by_word = HandRenderer(3, Path("libhand"))
    by_folder = HandRenderer(3, shared_data / "meshes" / "libhand")
    np.testing.assert_array_equal(by_word.frame(0)[0], by_folder.frame(0)[0])


def test_joints_lie_in_the_pictures_of_it_and_at_its_depth(shared_data, tmp_path):
    """As those of our own hands do, for its skeleton is read from bones that are none of ours."""
    mesh, out = shared_data / "meshes" / "libhand", tmp_path / "out"
    assert test_render_cli.run("--n", 3, "--o", out, "--seed", 8, "--mesh", mesh) == 0
    test_render_cli.test_joints_lie_in_the_hand_and_at_its_depth(out)


def test_what_is_missing_or_broken_is_named(tmp_path, monkeypatch):
    with pytest.raises(HandposeError, match=r"libhand_hand\.npz: No such file"):
        libhand.load_hand(tmp_path)
    write(tmp_path, uv=None)
    with pytest.raises(HandposeError, match=r"libhand_hand\.npz: not the arrays of LibHand's mesh .*uv"):
        libhand.load_hand(tmp_path)
    write(tmp_path, bone_names=np.array([f"bone{i}" for i in range(19)]))
    with pytest.raises(HandposeError, match="metacarpals"):
        libhand.load_hand(tmp_path)
    write(tmp_path, tris_skin=np.array([[0, 1, 999]]))
    with pytest.raises(HandposeError, match="do not fit together"):
        libhand.load_hand(tmp_path)
    write(tmp_path)
    content = (tmp_path / "libhand_hand.npz").read_bytes()
    for cut in (b"", content[:300], content[:-50]):
        (tmp_path / "libhand_hand.npz").write_bytes(cut)
        with pytest.raises(HandposeError, match=r"libhand_hand\.npz"):
            libhand.load_hand(tmp_path)
    write(tmp_path)
    (tmp_path / "hand_texture.png").write_bytes(b"\x89PNG")
    with pytest.raises(HandposeError, match=r"hand_texture\.png"):
        libhand.load_hand(tmp_path)
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("HANDPOSE_SHARED_DATA", str(tmp_path / "empty"))
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(HandposeError, match="libhand: no shared data with this hand; give a folder"):
        libhand.load_hand(Path("libhand"))
