"""Calibrate a camera by a chessboard: writes the `camera.json` that `tracker --camera` takes.

usage: python tools/calibrate_camera.py --print board.png
       python tools/calibrate_camera.py --webcam [N] | --video FILE | --images DIR [--board 9x6] [--output camera.json]

Print the board, or show it on a flat screen; its size does not matter. Move it slowly through the whole picture, near and far, and tilt
it: views of which none is tilted say little about the focal length. After Zhang, "A flexible new technique for camera calibration", 2000,
as OpenCV does it.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from handpose.camera import Camera
from handpose.command import exit_code
from handpose.errors import HandposeError
from handpose.images import write_image
from handpose.outputs import prepare_outputs, write_json
from tracker.options import add_sources, open_source, path_ending
from tracker.sources import Source

_APART_S = 0.5  # between views of a video
_LEAST, _MOST = 8, 40  # views
# Boards that all face the camera alike do not tell a long lens from a distant board.
_TILTED_DEG = 25.0  # between two of the views, at least
_NARROWEST_DEG = 5.0  # field of view: their noise passes for tilt where the lens may be as long as it likes
_SQUARE_PX = 100  # of the board to print


def main(arguments: list[str] | None = None) -> int:
    """Run the tool; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    task = add_sources(parser)
    task.add_argument("--print", type=Path, metavar="FILE.png", dest="board_file", help="only draw the board")
    parser.add_argument("--board", type=_board, default=(9, 6), metavar="9x6", help="inner corners across and down")
    parser.add_argument(
        "--output",
        type=path_ending(".json", told="a camera is kept as a"),
        default=Path("camera.json"),
        metavar="FILE.json",
    )
    parser.add_argument(
        "--mirrored", action="store_true", help="the feed is a selfie mirror, as for tracker --mirrored"
    )
    args = parser.parse_args(arguments)
    return exit_code("calibrate_camera", partial(_print_board if args.board_file else _calibrate, args))


def _print_board(args: argparse.Namespace) -> None:
    prepare_outputs("calibrate_camera", [args.board_file])
    write_image(args.board_file, draw_board(args.board))


def _calibrate(args: argparse.Namespace) -> None:
    prepare_outputs("calibrate_camera", [args.output])
    corners, size_px = find_corners(open_source(args), args.board, args.mirrored)
    camera, error_px = calibrate(corners, args.board, size_px)
    write_json(args.output, camera.to_dict())
    fov_deg = _fov_deg(size_px, camera.fx)
    print(f"{args.output}: {fov_deg:.1f} degrees across, {error_px:.2f} px off in {len(corners)} views")


def draw_board(board: tuple[int, int]) -> np.ndarray:
    """Draw a chessboard with so many inner corners across and down, a white border around it, (H, W, 3) uint8."""
    across, down = board
    squares = (np.add.outer(np.arange(down + 1), np.arange(across + 1)) % 2 * 255).astype(np.uint8)
    drawn = np.pad(squares.repeat(_SQUARE_PX, 0).repeat(_SQUARE_PX, 1), _SQUARE_PX, constant_values=255)
    return np.repeat(drawn[..., None], 3, axis=-1)


def find_corners(
    source: Source, board: tuple[int, int], mirrored: bool = False
) -> tuple[list[np.ndarray], tuple[int, int]]:
    """Find the board's corners (across * down, 2) [px] in views half a second apart, and the size of the frames.

    Ctrl-C ends the looking. Raises HandposeError where frames differ in size or too few show the board.
    """
    found: list[np.ndarray] = []
    size_px, last_s, frames = None, -np.inf, 0
    try:
        with source:
            for frame in source:
                frames += 1
                if frame.time_s is not None and frame.time_s < last_s + _APART_S:
                    continue
                size = (frame.image.shape[1], frame.image.shape[0])
                if size_px not in (None, size):
                    raise HandposeError(
                        f"{frame.name}: {_words(size)} px, the others have {_words(size_px)}: one camera's pictures are wanted"
                    )
                size_px = size
                image = cv2.flip(frame.image, 1) if mirrored else frame.image
                seen, corners = cv2.findChessboardCornersSB(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), board)
                if seen:
                    found.append(corners.reshape(-1, 2))
                    last_s = frame.time_s if frame.time_s is not None else last_s
                    print(f"view {len(found)}", file=sys.stderr)
                if len(found) == _MOST:
                    break
    except KeyboardInterrupt:
        pass
    if len(found) < _LEAST or size_px is None:
        raise HandposeError(
            f"the whole board of {_words(board)} inner corners was seen in {len(found)} of {frames} frames, {_LEAST} are needed"
        )
    return found, size_px


def calibrate(corners: list[np.ndarray], board: tuple[int, int], size_px: tuple[int, int]) -> tuple[Camera, float]:
    """Give the camera that sees corners [px] of a flat board there, and its RMS error [px].

    Raises HandposeError where the views leave the focal length open.
    """
    grid = np.zeros((board[0] * board[1], 3), np.float32)
    grid[:, :2] = np.stack(np.meshgrid(np.arange(board[0]), np.arange(board[1])), -1).reshape(-1, 2)
    views = [view.astype(np.float32) for view in corners]
    try:
        error_px, matrix, distortion, turns, _ = cv2.calibrateCamera(
            [grid] * len(views), views, size_px, np.eye(3), np.zeros(5), flags=cv2.CALIB_FIX_K3
        )
        normals = np.array([cv2.Rodrigues(turn)[0][:, 2] for turn in turns])
        tilt = np.degrees(np.arccos(np.clip(normals @ normals.T, -1, 1))).max()
        sure = tilt >= _TILTED_DEG and _fov_deg(size_px, matrix[0, 0]) >= _NARROWEST_DEG
    except cv2.error:  # nothing to solve for
        sure = False
    if not sure:
        raise HandposeError("these views leave the focal length open: tilt the board, to either side and up and down")
    values = {"fx": matrix[0, 0], "fy": matrix[1, 1], "cx": matrix[0, 2], "cy": matrix[1, 2], "size_px": size_px}
    return Camera.from_dict(values | {"distortion": distortion.ravel()[:4].tolist()}), float(error_px)


def _fov_deg(size_px: tuple[int, int], focal_px: float) -> float:
    return float(np.degrees(2 * np.arctan(size_px[0] / 2 / focal_px)))


def _words(size: tuple[int, int]) -> str:
    return "{}x{}".format(*size)


def _board(text: str) -> tuple[int, int]:
    across, down = (int(part) for part in text.split("x"))
    if min(across, down) < 3:
        raise argparse.ArgumentTypeError("a board has at least 3x3 inner corners")
    return across, down


if __name__ == "__main__":
    sys.exit(main())
