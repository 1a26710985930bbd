"""Cameras and crops: what goes out comes back, and a crop is the camera that its definition says."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handpose import camera as camera_module
from handpose.camera import Camera
from handpose.crop import MARGIN, Crop, look_at
from handpose.errors import HandposeError
from handpose.heatmap import cells_from_px, decode_heatmaps, gaussian_heatmaps, px_from_cells
from handpose.lens import lens_of, plane_of
from tracker.aim import crop_around

PINCUSHION = (0.5, 0.5, 0.01, -0.01)
DISTORTIONS = [(), (0.1, -0.05, 0.001, 0.002), (-0.2, 0.05, 0.0, 0.0, 0.01), PINCUSHION]
NO_SIZES = (["a", "b"], [float("nan"), 2], [float("inf"), 2], [0, 0], [64, -48], [64], 64, None)
seeds = st.integers(0, 2**32 - 1)


def camera_with(distortion=()):
    return Camera(610.0, 600.0, 322.5, 238.0, (640, 480), tuple(distortion))


@settings(max_examples=50, deadline=None)
@given(seeds, st.sampled_from(DISTORTIONS), st.sampled_from([(), (5,), (2, 4)]))
def test_project_undoes_unproject(seed, distortion, shape):
    rng = np.random.default_rng(seed)
    camera = camera_with(distortion)
    pixels = rng.uniform((0, 0), (640, 480), shape + (2,))
    points = camera.unproject(pixels, rng.uniform(100, 2000, shape))
    np.testing.assert_allclose(camera.project(points), pixels, atol=1e-6)


@pytest.mark.parametrize("distortion", [PINCUSHION, (-0.3, 0.1, 0.0, 0.0), (-0.28, 0.1, 0.001, -0.002, -0.005)])
def test_every_pixel_of_a_strong_lens_comes_back(distortion):
    camera = Camera(400.0, 400.0, 319.5, 239.5, (640, 480), distortion)
    pixels = np.stack(np.meshgrid(np.arange(0.0, 640, 9), np.arange(0.0, 480, 9)), -1)
    np.testing.assert_allclose(camera.project(camera.rays(pixels)), pixels, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from(DISTORTIONS))
def test_slopes_of_a_lens_are_its_differences(seed, distortion):
    plane, step = np.random.default_rng(seed).uniform(-0.8, 0.8, (5, 2)), 1e-6 * np.eye(2)
    by_x, by_y = (
        (camera_module._distort(plane + one, distortion) - camera_module._distort(plane - one, distortion)) / 2e-6
        for one in step
    )
    slopes = camera_module._slopes(plane, distortion)
    np.testing.assert_allclose(slopes, np.stack([by_x[:, 0], by_x[:, 1], by_y[:, 1]], -1), atol=1e-8)
    np.testing.assert_allclose(by_y[:, 0], by_x[:, 1], atol=1e-8)


def test_pixels_that_a_lens_leaves_without_a_ray_are_no_numbers(tmp_path):
    camera = Camera(500.0, 500.0, 319.5, 239.5, (640, 480), (-0.4, 0.0, 0.0, 0.0))
    corner, middle = np.array([[0.0, 0.0], [319.5, 100.0]])
    assert np.isnan(camera.rays(corner)[:2]).all() and np.isnan(plane_of(corner[None], lens_of(camera))).all()
    np.testing.assert_allclose(camera.project(camera.rays(middle)), middle, atol=1e-9)
    path = tmp_path / "camera.json"
    path.write_text(json.dumps(camera.to_dict()))
    with pytest.raises(HandposeError, match=r"camera.json: .* folds .* calibrate"):
        Camera.from_file(path)


def test_field_of_view_reaches_the_borders():
    camera = Camera.from_fov((640, 480), 90.0)
    np.testing.assert_allclose(camera.project(np.array([1.0, 0, 1])), (319.5 + 320, 239.5))
    tall = Camera.from_fov((480, 640))
    assert tall.fx == pytest.approx(320 / np.tan(np.pi / 6)), "60 degrees across the longer side"


def test_scaled_camera_sees_the_same():
    camera, point = camera_with((0.1, 0, 0, 0)), np.array([30.0, -20, 400])
    half = camera.scaled_to((320, 240)).project(point)
    np.testing.assert_allclose((camera.project(point) + 0.5) / 2 - 0.5, half)


def test_camera_file_round_trip_and_errors(tmp_path):
    path = tmp_path / "camera.json"
    camera = camera_with(DISTORTIONS[1])
    path.write_text(json.dumps(camera.to_dict()))
    assert Camera.from_file(path) == camera
    for content in (
        "{",
        "[]",
        '{"fx": 1}',
        json.dumps(camera.to_dict() | {"fx": -1}),
        json.dumps(camera.to_dict() | {"cx": None}),
        *(json.dumps(camera.to_dict() | {"size_px": size}) for size in NO_SIZES),
    ):
        path.write_text(content)
        with pytest.raises(HandposeError, match="camera.json"):
            Camera.from_file(path)
    with pytest.raises(HandposeError, match="missing.json"):
        Camera.from_file(tmp_path / "missing.json")


@settings(max_examples=50, deadline=None)
@given(seeds, st.sampled_from(DISTORTIONS))
def test_crop_of_joints_is_the_stated_one(seed, distortion):
    rng = np.random.default_rng(seed)
    camera = camera_with(distortion)
    joints = rng.uniform(40, 200, 2) + rng.uniform(0, rng.uniform(30, 250), (21, 2))
    crop = Crop.from_joints(camera, joints)
    seen = crop.to_crop(joints)
    low, high = seen.min(0), seen.max(0)
    np.testing.assert_allclose((low + high) / 2, 63.5, atol=0.02)
    assert (high - low).max() == pytest.approx(128 / MARGIN, abs=0.02)
    assert abs(seen[9, 0] - seen[0, 0]) < 0.02 and seen[9, 1] < seen[0, 1], "W to M0 points up"
    np.testing.assert_allclose(crop.to_image(seen), joints, atol=1e-6)
    np.testing.assert_allclose(crop.to_crop(crop.to_image(seen)), seen, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_a_window_past_what_a_lens_sees_has_its_zoom_all_the_same(seed):
    """A barrel lens that folds beyond the picture's edge tells nothing of what lies there."""
    rng, side = np.random.default_rng(seed), 240.0
    camera = Camera(400.0, 400.0, 319.5, 239.5, (640, 480), (-0.14, 0.0, 0.0, 0.0))
    centre = rng.uniform(side / 4, np.array(camera.size_px) - side / 4)
    crop = Crop.from_box(camera, centre, 1.5 * side)
    inner = Crop.from_box(camera, centre, 0.1 * side)
    assert np.isfinite(crop.to_image(np.array([63.5, 63.5]))).all()
    assert crop.focal_px == pytest.approx(inner.focal_px / 15, rel=0.35)
    assert isinstance(crop_around(camera, centre + rng.uniform(-1, 1, (21, 2)) * side, crop), Crop)
    assert np.isfinite(crop_around(camera, centre + rng.uniform(-1, 1, (21, 2)) * side, crop).focal_px)


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_crop_is_a_camera(seed):
    """Points projected by the crop's camera, after its rotation, land where the picture's pixels are carried to."""
    rng = np.random.default_rng(seed)
    camera = camera_with(DISTORTIONS[1])
    crop = Crop.from_box(camera, rng.uniform(100, 400, 2), rng.uniform(50, 300), rng.uniform(-3, 3))
    points = rng.normal((0, 0, 600), 60, (10, 3))
    through_crop = crop.camera.project(points @ crop.camera_from_crop)
    np.testing.assert_allclose(through_crop, crop.to_crop(camera.project(points)), atol=1e-6)


def test_box_crop_has_its_side_and_roll():
    camera = Camera.from_fov((640, 480))
    crop = Crop.from_box(camera, (319.5, 239.5), 100, np.pi / 2)
    np.testing.assert_allclose(crop.to_crop(np.array([369.5, 239.5])), (63.5, -0.5), atol=1e-6)


def test_warp_moves_pixels_where_points_go():
    camera = Camera.from_fov((200, 160))
    image = np.zeros((160, 200, 3), np.uint8)
    image[70:75, 110:115] = 255
    for side in (60, 150, 600):  # enlarged, reduced, and reduced past the border
        crop = Crop.from_box(camera, (100, 80), side, 0.4)
        weight = crop.warp(image)[..., 0].astype(float)
        rows, columns = np.indices(weight.shape)
        centre = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
        np.testing.assert_allclose(centre, crop.to_crop(np.array([112.0, 72.0])), atol=0.3)


def test_warp_through_distortion_agrees_with_points():
    camera = Camera(200.0, 200.0, 99.5, 79.5, (200, 160), (0.2, 0, 0, 0))
    image = np.zeros((160, 200, 3), np.uint8)
    image[70:75, 130:135] = 255
    crop = Crop.from_box(camera, (120, 80), 100)
    weight = crop.warp(image)[..., 0].astype(float)
    rows, columns = np.indices(weight.shape)
    centre = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
    np.testing.assert_allclose(centre, crop.to_crop(np.array([132.0, 72.0])), atol=0.3)


def test_large_pictures_are_averaged_not_sampled():
    stripes = np.zeros((1000, 1000, 3), np.uint8)
    stripes[:, ::2] = 255
    cut = Crop.from_box(Camera.from_fov((1000, 1000)), (500, 500), 900).warp(stripes)
    assert cut[20:-20, 20:-20].std() < 8, "stripes finer than a pixel must come out grey"


def test_jitter_moves_the_window():
    crop = Crop.from_box(Camera.from_fov((640, 480)), (320, 240), 100)
    moved = crop.jittered(np.array([0.25, 0.0]), 1.0, 0.0)
    np.testing.assert_allclose(crop.to_crop(moved.to_image(np.array([63.5, 63.5]))), (95.5, 63.5), atol=1e-6)
    assert crop.jittered(np.zeros(2), 2.0, 0.0).focal_px == pytest.approx(crop.focal_px / 2)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_look_at_turns_the_axis_to_the_ray(seed):
    ray = np.random.default_rng(seed).normal((0, 0, 2), 1)
    rotation = look_at(ray)
    np.testing.assert_allclose(rotation @ (0, 0, 1), ray / np.linalg.norm(ray), atol=1e-12)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)


@settings(max_examples=50, deadline=None)
@given(seeds)
def test_heatmaps_decode_to_where_they_were_drawn(seed):
    rng = np.random.default_rng(seed)
    cells = rng.uniform(-0.5, 31.5, (2, 21, 2))
    cells[1] = 31 * rng.integers(0, 2, (21, 2)) + rng.uniform(-0.5, 0.5, (21, 2))  # in the border's cells
    found, peaks = decode_heatmaps(gaussian_heatmaps(cells))
    np.testing.assert_allclose(found, cells, atol=1e-4)
    assert (peaks > 0.83).all() and found.shape == (2, 21, 2)


def test_cells_and_pixels_are_inverse():
    points = np.array([[-0.5, -0.5], [127.5, 63.5]])
    np.testing.assert_allclose(cells_from_px(points, 128), [[-0.5, -0.5], [31.5, 15.5]])
    np.testing.assert_allclose(px_from_cells(cells_from_px(points, 128), 128), points)


def test_empty_heatmap_decodes_without_a_warning():
    cells, peaks = decode_heatmaps(np.zeros((21, 32, 32)))
    assert np.isfinite(cells).all() and (peaks == 0).all()


def test_a_crops_side_is_that_of_its_middle_whatever_the_lens_does_outside():
    """The polynomial of a wide lens runs wild beyond the picture, where corners of a crop at the edge may lie."""
    camera = Camera(400.0, 400.0, 320.0, 240.0, (640, 480), (-0.22, 0.03, 0.0, 0.0))
    for side_px, centre in ((240, (600, 440)), (300, (620, 460)), (120, (320, 240))):
        assert Crop.from_box(camera, np.array(centre, float), side_px).side_px == pytest.approx(side_px, rel=0.2)
