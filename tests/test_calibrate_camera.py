"""A chessboard seen by a camera that is known: `tools/calibrate_camera.py` finds that camera again, and says when it cannot."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from handpose.camera import Camera
from handpose.errors import HandposeError
from handpose.images import read_image, write_image
from handpose.rotation import exp_so3

sys.path.append(str(Path(__file__).resolve().parents[1] / "tools"))
import calibrate_camera

BOARD = (7, 5)
SQUARE_PX = 100
TRUE = Camera(610.0, 605.0, 325.0, 236.0, (640, 480), (-0.18, 0.06, 0.001, -0.002))


def seen(rng, tilt, camera=TRUE):
    """The board about 7 to 9 squares before the camera, turned by up to `tilt` [rad]."""
    board = calibrate_camera.draw_board(BOARD)
    turn = exp_so3(rng.uniform(-tilt, tilt, 3))
    middle = np.array([*rng.uniform(-0.8, 0.8, 2), rng.uniform(8, 10)])  # [squares]
    rays = camera.rays(np.stack(np.meshgrid(np.arange(640.0), np.arange(480.0)), -1))
    away = turn[:, 2] @ middle / (rays @ turn[:, 2])
    on_board = (rays * away[..., None] - middle) @ turn[:, :2] * SQUARE_PX + (np.array(board.shape[1::-1]) - 1) / 2
    drawn = cv2.remap(board, on_board.astype(np.float32), None, cv2.INTER_LINEAR, borderValue=(90, 90, 90))
    return cv2.GaussianBlur(drawn, (0, 0), 0.7)


def folder_of(path, count, tilt, seed=0):
    path.mkdir()
    rng = np.random.default_rng(seed)
    for number in range(count):
        write_image(path / f"{number:02d}.png", seen(rng, tilt))
    return path


def run(*arguments):
    return calibrate_camera.main([str(argument) for argument in arguments])


def test_the_camera_of_pictures_is_found_again(tmp_path, capsys):
    views, out = folder_of(tmp_path / "views", 12, 0.5), tmp_path / "camera.json"
    assert run("--images", views, "--board", "7x5", "--output", out) == 0
    found = Camera.from_file(out)
    assert found.size_px == TRUE.size_px
    for name, error in (("fx", 4), ("fy", 4), ("cx", 4), ("cy", 4)):
        assert getattr(found, name) == pytest.approx(getattr(TRUE, name), abs=error), name
    grid = np.stack(np.meshgrid(np.linspace(60, 580, 9), np.linspace(60, 420, 7)), -1)
    apart = np.linalg.norm(found.project(TRUE.rays(grid)) - grid, axis=-1)  # of pixels that the views covered
    assert apart.mean() < 1
    said = capsys.readouterr().out
    assert "55." in said
    assert "0.05 px off" in said


def test_a_mirrored_feed_is_turned_back_first(tmp_path):
    views, out = folder_of(tmp_path / "views", 12, 0.5), tmp_path / "camera.json"
    assert run("--images", views, "--board", "7x5", "--output", out, "--mirrored") == 0
    assert Camera.from_file(out).cx == pytest.approx(639 - TRUE.cx, abs=4)


@pytest.mark.parametrize("seed", [0, 1, 2, 6, 10, 13])  # noise passes for tilt in the last three
def test_boards_that_all_face_the_camera_are_refused_however_noisy(seed):
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(7.0), np.arange(5.0)), -1).reshape(-1, 2) - (3, 2)
    noise = 0.1 * (seed > 0)  # none: nothing to solve for
    corners = [
        rng.uniform(35, 60) * grid + (320, 240) + rng.uniform(-60, 60, 2) + rng.normal(0, noise, grid.shape)
        for _ in range(10)
    ]
    with pytest.raises(HandposeError, match="tilt the board"):
        calibrate_camera.calibrate(corners, BOARD, (640, 480))


def test_a_video_gives_two_views_a_second(tmp_path, capsys):
    path, rng = tmp_path / "board.mp4", np.random.default_rng(1)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 4, TRUE.size_px)
    for _ in range(10):
        for view in [seen(rng, 0.5)] * 2:
            writer.write(view)
    writer.release()
    assert run("--video", path, "--board", "7x5", "--output", tmp_path / "c.json") == 0
    count = int(capsys.readouterr().out.split()[-2])
    assert 8 <= count <= 10  # of 20 frames: now and then a board is not seen


@pytest.mark.parametrize(
    ("count", "tilt", "reason"),
    [(3, 0.5, "seen in 3 of 3 frames, 8 are needed"), (9, 0.0, "leave the focal length open")],
)
def test_views_that_say_too_little_are_refused(tmp_path, capsys, count, tilt, reason):
    views, out = folder_of(tmp_path / "views", count, tilt), tmp_path / "camera.json"
    out.write_text("{}")
    assert run("--images", views, "--board", "7x5", "--output", out) == 1
    assert reason in capsys.readouterr().err.splitlines()[-1]
    assert json.loads(out.read_text()) == {}


def test_pictures_of_two_sizes_are_refused(tmp_path, capsys):
    views = folder_of(tmp_path / "views", 1, 0.5)
    write_image(views / "x.png", np.zeros((100, 100, 3), np.uint8))
    assert run("--images", views, "--output", tmp_path / "c.json") == 1
    assert "x.png: 100x100 px, the others have 640x480" in capsys.readouterr().err


def test_the_printed_board_is_the_one_looked_for(tmp_path):
    path = tmp_path / "board.png"
    assert run("--print", path) == 0
    found, corners = cv2.findChessboardCornersSB(read_image(path)[..., 0], (9, 6))
    assert found
    assert len(corners) == 54


@pytest.mark.parametrize("options", [(), ("--images", "a", "--video", "b"), ("--images", "a", "--board", "9"), ("--images", "a", "--board", "2x6"), ("--video", "a.mp4", "--output", "a.mp4")])  # fmt: skip
def test_wrong_usage(options):
    with pytest.raises(SystemExit) as stopped:
        run(*options)
    assert stopped.value.code == 2
