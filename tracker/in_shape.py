"""Pictures that were squeezed into squares: what shape they had is told by the hands in them.

Cameras take pictures of 4:3, 3:2 and 16:9, and many collections store them as squares. Hands are found that are missed as a square, and
RegNet places them far better, where they are seen in their own shape; and it is surer of them there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np

from handpose.camera import Camera
from handpose.skeleton import Side
from tracker.aim import crop_around
from tracker.detector import Detection
from tracker.recognise import Predictor, Sight, ask_both_ways, both_ways
from tracker.side import SideVote

_SHAPES = ((16, 9), (9, 16), (3, 2), (2, 3), (4, 3), (3, 4))
_SEARCHED = 2  # of them: hands of the others are found in these, too
_SQUARE = 0.02  # by which a square's sides, or a camera's focal lengths, differ at most
# By this factor less wrong, all hands multiplied, they have to be expected in another shape, as if of ten square pictures three were
# squeezed: people held out and rendered hands lose next to nothing by it where they are not, and win most where they are (docs/LOG.md).
_LESS_WRONG = 0.75


def sights_in_shape(
    camera: Camera, look: Callable[[Camera], list[Sight]], expect: Callable[[Camera, list[Sight]], float]
) -> tuple[Camera, list[Sight]]:
    """Find a picture's hands, and the camera that shows them in their own shape.

    A square picture without hands is looked at as 16:9, then as 9:16; one with hands in the likeliest shape, unless hands are lost by it.
    `look(camera)` gives the hands seen through a camera, `expect(camera, sights)` their `expected_error`. Without any hand: `camera` and [].
    """
    width, height = camera.size_px
    square = abs(width / height - 1) <= _SQUARE
    others = [Camera.from_fov(shape).scaled_to(camera.size_px) for shape in _SHAPES if square]
    looks = ((one, look(one)) for one in (camera, *others[:_SEARCHED]))
    first, sights = next((found for found in looks if found[1]), (camera, []))
    if not (sights and square):
        return camera, sights
    shapes = [camera, *others] if first is camera else others
    errors = [expect(one, sights) * (_LESS_WRONG if one is camera else 1.0) for one in shapes]
    shaped = shapes[int(np.argmin(errors))]
    again = sights if shaped is first else look(shaped)
    return (shaped, again) if len(again) >= len(sights) else (first, sights)


def look_in_shape(image: np.ndarray, camera: Camera, look: Callable[[np.ndarray], list[Detection]]) -> list[Detection]:
    """`look` for hands in a picture (H, W, 3) squeezed so that its camera's pixels are squares; places and sizes are the picture's own."""
    if abs(camera.fx / camera.fy - 1) <= _SQUARE:
        return look(image)
    size = np.maximum(np.rint(np.array(camera.size_px) * camera.to_squares), 1).astype(int)
    ratio = np.array(camera.size_px) / size
    found = look(cv2.resize(image, tuple(size.tolist()), interpolation=cv2.INTER_AREA))
    # A crop's side is the mean of what a length spans across and upwards.
    longer = 2 * float(np.prod(ratio) / ratio.sum())
    return [replace(one, centre_px=(one.centre_px + 0.5) * ratio - 0.5, side_px=one.side_px * longer) for one in found]


def expected_error(
    image: np.ndarray, camera: Camera, sights: Sequence[Sight], predictor: Predictor, side: Side | None
) -> float:
    """Say how wrong RegNet expects to be of hands of a picture (H, W, 3) seen through a camera [crop sides], all hands multiplied.

    `side`: where the user knows it.
    """
    crops = [crop_around(camera, sight.joints_px, sight.crop) for sight in sights]
    product = 1.0
    for crop, ways in zip(crops, both_ways(image, crops, predictor), strict=True):
        vote = SideVote(side)
        ask_both_ways(ways, vote)
        product *= float(ways[vote.side].sigma_px.mean()) / crop.side_px
    return product
