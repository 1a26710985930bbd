"""Pictures that were squeezed into squares: what shape they had is told by the hands in them.

Cameras take pictures of 4:3, 3:2 and 16:9, and many collections store them as squares. RegNet places hands far better that are seen in
their own shape, through a camera whose pixels are as much wider or higher as the picture was squeezed, and is surer of them there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handpose.camera import Camera
from handpose.skeleton import Side
from tracker.aim import crop_around
from tracker.recognise import Predictor, Sight, ask_both_ways, both_ways
from tracker.side import SideVote

_SHAPES = ((4, 3), (3, 4), (3, 2), (2, 3), (16, 9), (9, 16))
_SQUARE = 0.02  # by which sides differ at most
# By this factor less wrong, all hands multiplied, they have to be expected in another shape, as if of ten square pictures three were
# squeezed: people held out and rendered hands lose next to nothing by it where they are not, and win most where they are (docs/LOG.md).
_LESS_WRONG = 0.75


def camera_in_shape(
    image: np.ndarray, camera: Camera, sights: Sequence[Sight], predictor: Predictor, side: Side | None = None
) -> Camera:
    """Give the camera that shows a picture's hands in their own shape: `camera`, or of a square picture (H, W, 3) one of another shape.

    `side`: where the user knows it.
    """
    if not sights or abs(image.shape[1] / image.shape[0] - 1) > _SQUARE:
        return camera
    others = [Camera.from_fov(shape).scaled_to(camera.size_px) for shape in _SHAPES]
    errors = np.array([_expected_error(image, one, sights, predictor, side) for one in (camera, *others)])
    errors[0] *= _LESS_WRONG
    return (camera, *others)[int(errors.argmin())]


def _expected_error(
    image: np.ndarray, camera: Camera, sights: Sequence[Sight], predictor: Predictor, side: Side | None
) -> float:
    """Say how wrong RegNet expects to be of hands seen through a camera [crop sides], all hands multiplied."""
    crops = [crop_around(camera, sight.joints_px, sight.crop) for sight in sights]
    product = 1.0
    for crop, ways in zip(crops, both_ways(image, crops, predictor), strict=True):
        vote = SideVote(side)
        ask_both_ways(ways, vote)
        product *= float(ways[vote.side].sigma_px.mean()) / crop.side_px
    return product
