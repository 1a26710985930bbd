"""The rendered hand: a closed surface that follows its skeleton, seen the right way round, the same for the same seed."""

from dataclasses import replace

import numpy as np
import pytest

from handpose.camera import Camera
from handpose.kinematics import HandPose, joint_frames
from handpose.skeleton import ANGLE_LIMITS_RAD, TIPS, Skeleton
from handpose.synthesis.build_hand import build_hand
from handpose.synthesis.gestures import SHAPES as GESTURES
from handpose.synthesis.gestures import shape_angles
from handpose.synthesis.look import Look
from handpose.synthesis.mesh import FOREARM
from handpose.synthesis.rasterise import rasterise
from handpose.synthesis.render_hand import SHAPES, render_hand, sample_shape, shape
from handpose.synthesis.surface import surface_nets

CAMERA = Camera(300.0, 300.0, 63.5, 63.5, (128, 128))
# Palm to the camera, fingers up: the wrist's +y is up in the picture, its +z comes towards the camera.
FACING, FROM_BEHIND = np.array([np.pi, 0, 0]), np.array([0, 0, np.pi])


@pytest.fixture(scope="module")
def hand():
    skeleton = Skeleton.default("left")
    return build_hand(skeleton), skeleton


def open_pose(angles=None, rotation=FACING) -> HandPose:
    return HandPose(np.array([0, 90.0, 700]), rotation, np.zeros(20) if angles is None else angles)


def plain_look(**changes) -> Look:
    """Bare smooth skin under light from the side."""
    even = np.full(3, 0.5)
    room = np.zeros((9, 3))
    room[0] = 0.5
    return replace(
        Look.sample(np.random.default_rng(0)), back=even, palm=even, crease=even, mottle=0.0, shine=0.0,
        sleeve_mm=np.inf, ring=(-1, 0.0), ambient=room, key_from=np.array([0.8, 0, -0.6]), key=np.full(3, 0.5),
        **{"wrinkles": 0.0, **changes},
    )  # fmt: skip


def _brightness(rgb: np.ndarray, place: np.ndarray) -> float:
    column, row = np.round(place).astype(int)
    return float(rgb[row, column].mean())


def edges_are_shared_by_two(triangles) -> bool:
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    return bool((np.unique(edges, axis=0, return_counts=True)[1] == 2).all())


def volume(vertices, triangles) -> float:
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def test_surface_nets_close_a_ball():
    vertices, triangles = surface_nets(
        lambda p: np.linalg.norm(p, axis=-1) - 10, np.full(3, -13.0), np.full(3, 13.0), 1.5
    )
    np.testing.assert_allclose(np.linalg.norm(vertices, axis=-1), 10, atol=0.02)
    assert edges_are_shared_by_two(triangles)
    assert volume(vertices, triangles) == pytest.approx(4 / 3 * np.pi * 1000, rel=0.03), "triangles face outwards"


def test_the_hand_is_closed_and_of_human_size(hand):
    mesh, _ = hand
    edges = np.sort(np.concatenate([mesh.triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])]), axis=1)
    kinds, counts = np.unique(edges, axis=0, return_counts=True)
    open_edges = mesh.vertices_mm[kinds[counts % 2 == 1]]
    assert (open_edges[..., 1] < -300).all(), "only the forearm's far end is open"
    assert 500e3 < volume(mesh.vertices_mm, mesh.triangles) < 1200e3  # [mm^3], with the forearm
    y = mesh.vertices_mm[:, 1]
    palm = mesh.vertices_mm[(y > 70) & (y < 85) & (mesh.finger > 0)]
    assert 60 < np.ptp(palm[:, 0]) < 115 and 18 < np.ptp(palm[:, 2]) < 45


def test_skin_weights_are_shares(hand):
    mesh, _ = hand
    np.testing.assert_allclose(mesh.weights.sum(1), 1, atol=1e-9)
    assert (mesh.weights >= 0).all()
    far = mesh.vertices_mm[:, 1] < -40
    assert (mesh.bones[far, 0] == FOREARM).all()


def test_rest_pose_leaves_the_surface_alone(hand):
    mesh, skeleton = hand
    posed, normals = mesh.posed(skeleton, np.zeros(26), np.eye(3))
    np.testing.assert_allclose(posed, mesh.vertices_mm, atol=1e-9)
    np.testing.assert_allclose(normals, mesh.normals, atol=1e-6)


@pytest.mark.parametrize("finger", range(5))
def test_skin_follows_its_bone(hand, finger):
    """Skin that belongs to a finger's last bone alone moves with it."""
    mesh, skeleton = hand
    vector = np.zeros(26)
    vector[6 + 4 * finger : 10 + 4 * finger] = 0.6 * ANGLE_LIMITS_RAD[4 * finger : 4 * finger + 4, 1]
    posed, _ = mesh.posed(skeleton, vector, np.eye(3))
    frames, joints = joint_frames(skeleton, vector)
    bone = TIPS[finger] - 1
    mine = (mesh.bones[:, 0] == bone) & (mesh.weights[:, 0] > 0.9995)
    assert mine.sum() > 15
    rest = skeleton.rest_joints_mm[bone]
    np.testing.assert_allclose(posed[mine], (mesh.vertices_mm[mine] - rest) @ frames[bone].T + joints[bone], atol=0.1)


def test_rasteriser_agrees_with_brute_force():
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-3, 35, (30, 2)), rng.uniform(100, 200, 30)])
    triangles = rng.integers(0, 30, (20, 3)).astype(np.int32)
    shown, depth, weights = rasterise(points, triangles, 32, True)
    for y in range(0, 32, 3):
        for x in range(0, 32, 3):
            best, nearest = -1, np.inf
            for t, (a, b, c) in enumerate(triangles):
                system = np.array([points[a, :2], points[b, :2], points[c, :2]]).T
                system = np.vstack([system, np.ones(3)])
                if abs(np.linalg.det(system)) < 1e-6:
                    continue
                share = np.linalg.solve(system, [x, y, 1])
                z = share @ points[[a, b, c], 2]
                if share.min() >= -1e-9 and z < nearest - 1e-6:
                    best, nearest = t, z
            assert shown[y, x] == best
            if best >= 0:
                assert depth[y, x] == pytest.approx(nearest, abs=1e-3)
                u, v = weights[y, x]
                place = [u, v, 1 - u - v] @ points[triangles[best]]
                np.testing.assert_allclose(place[:2], (x, y), atol=1e-3)


def test_back_faces_are_left_out(hand):
    """The nearest surface of a closed body faces the camera: leaving the others out changes nothing that is seen."""
    mesh, skeleton = hand
    posed, _ = mesh.posed(skeleton, open_pose().to_vector(), np.eye(3))
    points = np.column_stack([CAMERA.project(posed), posed[:, 2]])
    front, all_faces = rasterise(points, mesh.triangles, 128, False), rasterise(points, mesh.triangles, 128, True)
    assert (front[0] != all_faces[0]).mean() < 0.005


def test_an_open_hand_shows_four_fingers_above_the_knuckles_and_a_thumb(hand):
    mesh, skeleton = hand
    result = render_hand(mesh, skeleton, open_pose(), CAMERA, Look.sample(np.random.default_rng(0)))
    inside = result.alpha > 127
    row = int(result.joints_px[[6, 10, 14], 1].mean())  # at the middle joints
    runs = np.diff(np.concatenate([[0], inside[row].astype(int), [0]])) == 1
    assert runs.sum() == 4
    x, y = result.joints_px.round().astype(int).T
    assert inside[y, x].all(), "every joint lies on the hand"
    assert result.joints_px[4, 0] < result.joints_px[20, 0], (
        "a left palm that faces the camera has its thumb on the left"
    )
    depth = result.depth_mm[y, x]
    assert (np.abs(depth - result.joints_mm[:, 2]) < 35).all()


@pytest.mark.parametrize("abduction_deg", [-30, -10, 10])
def test_nothing_stands_between_thumb_and_index(abduction_deg):
    """From the thumb's tip down to its root each row of the picture has the thumb, air and the rest of the hand, or all of it in one."""
    angles = np.zeros(20)
    angles[0] = np.deg2rad(abduction_deg)
    for number in range(0, SHAPES, 2):
        mesh, skeleton = shape(number)
        seen = render_hand(mesh, skeleton, open_pose(angles), CAMERA, Look.sample(np.random.default_rng(0)))
        thumb_rows, to_index = seen.joints_px[1:5, 1].round().astype(int), int(seen.joints_px[5, 0])
        rows = seen.alpha[thumb_rows.min() : thumb_rows.max(), : to_index + 1] > 127
        parts = (np.diff(rows.astype(int), axis=1, prepend=0) == 1).sum(axis=1)
        assert parts.max() <= 2 and (np.diff(parts) <= 0).all(), (number, parts)


@pytest.mark.parametrize("side", ["palm", "back"])
def test_a_right_hand_is_the_mirror_image(hand, side):
    mesh, skeleton = hand
    rotation = FACING if side == "palm" else FROM_BEHIND
    look = Look.sample(np.random.default_rng(3)) if side == "palm" else plain_look(wrinkles=1.0)
    mirror = Look(
        **{**vars(look), "key_from": look.key_from * (-1, 1, 1), "wrist_bend_rad": look.wrist_bend_rad * (1, -1)}
    )
    mirror = Look(**{**vars(mirror), "ambient": look.ambient * np.array([1, 1, 1, -1, -1, 1, 1, -1, 1])[:, None]})
    left = render_hand(mesh, skeleton, open_pose(rotation=rotation), CAMERA, look)
    right = render_hand(mesh.mirrored(), skeleton.mirrored(), open_pose(rotation=rotation), CAMERA, mirror)
    assert right.side == "right"
    both = (left.alpha > 250) & (right.alpha[:, ::-1] > 250)
    assert both.mean() > 0.15 and np.abs(left.alpha.astype(int) - right.alpha[:, ::-1]).mean() < 1.0
    difference = np.abs(left.rgb[both].astype(int) - right.rgb[:, ::-1][both])
    assert difference.mean() < 4
    np.testing.assert_allclose(left.joints_px[:, 0], 127 - right.joints_px[:, 0], atol=1e-6)


def test_edges_are_soft_and_colours_stay_in_range(hand):
    mesh, skeleton = hand
    result = render_hand(mesh, skeleton, open_pose(), CAMERA, Look.sample(np.random.default_rng(4)))
    assert ((result.alpha > 0) & (result.alpha < 255)).sum() > 100
    assert result.rgb[result.alpha > 200].std() > 5, "light and skin are not one flat colour"
    assert (result.depth_mm[result.alpha == 0] == 0).all()


def test_looks_reach_from_dark_to_light_skin():
    backs = np.array([Look.sample(np.random.default_rng(seed)).back.mean() for seed in range(300)])
    assert backs.min() < 0.08 and backs.max() > 0.5
    palms = np.array([Look.sample(np.random.default_rng(seed)).palm.mean() for seed in range(300)])
    dark = backs < 0.1
    assert (palms[dark] > 1.2 * backs[dark]).all(), "palms of dark hands are lighter than their backs"


def test_the_cleft_between_two_fingers_of_a_fist_is_dark(hand):
    seen = render_hand(*hand, open_pose(shape_angles(GESTURES["fist"])), CAMERA, plain_look())
    index, middle = (seen.joints_px[[first, first + 1]].mean(0) for first in (5, 9))
    index, cleft, middle = (_brightness(seen.rgb, place) for place in (index, (index + middle) / 2, middle))
    assert cleft < 0.45 * min(index, middle)


def test_sinews_of_the_back_catch_the_light(hand):
    relief = []
    for depth in (0.0, 1.0):
        seen = render_hand(*hand, open_pose(rotation=FROM_BEHIND), CAMERA, plain_look(wrinkles=depth))
        left, right = sorted(seen.joints_px[[5, 17], 0])
        row = round(np.mean(seen.joints_px[[0, 9], 1]))
        band = seen.rgb[row, round(left) + 4 : round(right) - 4].mean(-1)
        relief.append(np.abs(np.diff(band, 2)).mean())
    assert relief[1] > 2 * relief[0]


def test_shapes_and_looks_follow_their_seed():
    first, again = shape(3), shape.__wrapped__(3)
    np.testing.assert_array_equal(first[0].vertices_mm, again[0].vertices_mm)
    assert not np.allclose(shape(4)[1].offsets_mm, first[1].offsets_mm)
    a, b = (Look.sample(np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(a.ambient, b.ambient)
    assert sample_shape(np.random.default_rng(0))[1].scale_mm == pytest.approx(94.7)


def test_what_cannot_be_rendered_is_refused(hand):
    mesh, skeleton = hand
    with pytest.raises(ValueError, match="square"):
        render_hand(
            mesh, skeleton, open_pose(), Camera(300.0, 300, 64, 64, (128, 96)), Look.sample(np.random.default_rng(0))
        )
    with pytest.raises(ValueError, match="left"):
        build_hand(skeleton.mirrored())
