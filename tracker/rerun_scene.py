"""What rerun is told of tracks: the picture with the joints seen, the fitted hands in space, and the time that each stage takes.

Metres; axes as in the track file: x right, y down, z forward.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import TYPE_CHECKING

import cv2
import numpy as np

from handpose.camera import Camera
from handpose.errors import HandposeError
from handpose.skeleton import BONES, JOINT_COLOURS, JOINT_NAMES
from tracker.hand import State, TrackedHand
from tracker.viewer import View

if TYPE_CHECKING:
    from rerun import RecordingStream

_REQUIREMENT, _NEEDED = "rerun-sdk>=0.41", ("RecordingStream", "Scalars", "EncodedImage", "set_strict_mode")
_FLUSH_S = 10.0
_JPEG_QUALITY = 85
_BONES = np.array(BONES)
_COLOURS = np.array(JOINT_COLOURS, np.uint8)
_SPACE, _PICTURE, _STAGES = "space", "space/camera", "stages"
_JOINT_M, _BONE_M, _IMAGE_PLANE_M = 0.004, 0.002, 1.0
_FADED = 0.45  # the colours of a hand that is carried on


def load_rerun() -> ModuleType:
    """Import rerun. Raises ImportError where it is not installed, HandposeError where it is another package of that name, or too old."""
    os.environ.setdefault("RUST_LOG", "off")  # what goes wrong is told by exceptions, too
    import rerun

    if not all(hasattr(rerun, name) for name in _NEEDED):
        raise HandposeError(f'the package rerun here is none that can show hands: pip install "{_REQUIREMENT}"')
    rerun.set_strict_mode(True)
    return rerun


class RerunScene:
    """A stream of rerun's, which still has to be told where to go, and what it is told of frames."""

    def __init__(self, source: str):
        self._rerun, self._source = load_rerun(), source
        self.stream: RecordingStream = self._rerun.RecordingStream("tracker")
        self._camera: Camera | None = None
        self._shown: set[str] = set()

    def begin(self) -> None:
        """Say what does not change, once the stream has somewhere to go."""
        from rerun import blueprint

        self.stream.send_recording_name(self._source)
        self.stream.log(_SPACE, self._rerun.ViewCoordinates.RDF, static=True)
        seen = blueprint.Vertical(
            blueprint.Spatial2DView(origin=_PICTURE, name="seen"),
            blueprint.TimeSeriesView(origin=_STAGES, name="stages [ms]"),
            row_shares=[3, 1],
        )
        fitted = blueprint.Spatial3DView(origin=_SPACE, name="fitted")
        self.stream.send_blueprint(blueprint.Blueprint(blueprint.Horizontal(seen, fitted), collapse_panels=True))

    def add(self, view: View) -> None:
        """Tell of a frame."""
        self.stream.set_time("frame", sequence=view.frame)
        if view.time_s is not None:
            self.stream.set_time("time", duration=view.time_s)
        if view.camera != self._camera:
            self._add_camera(view.camera)
        self._add_picture(view.image)
        for stage, ms in view.stage_ms.items():
            self.stream.log(f"{_STAGES}/{stage}", self._rerun.Scalars(ms))
        names = {f"{hand.side}-hand-{hand.id}": hand for hand in view.hands}
        for gone in self._shown - set(names):
            for path in (f"{_SPACE}/{gone}", f"{_PICTURE}/{gone}"):
                self.stream.log(path, self._rerun.Clear(recursive=True))
        for name, hand in names.items():
            self._add_hand(name, hand)
        self._shown = set(names)

    def end(self) -> None:
        """Send what is left. Raises RuntimeError where it is not taken."""
        self.stream.flush(timeout_sec=_FLUSH_S)
        self.stream.disconnect()

    def _add_camera(self, camera: Camera) -> None:
        """A lens without distortion, as rerun knows no other; to it a pixel's corner is at whole numbers, not its centre."""
        self._camera = camera
        pinhole = self._rerun.Pinhole(
            resolution=camera.size_px,
            focal_length=(camera.fx, camera.fy),
            principal_point=(camera.cx + 0.5, camera.cy + 0.5),
            image_plane_distance=_IMAGE_PLANE_M,
        )
        self.stream.log(_PICTURE, pinhole)

    def _add_picture(self, image: np.ndarray) -> None:
        quality = (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY)
        coded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)[1].tobytes()
        self.stream.log(_PICTURE, self._rerun.EncodedImage(contents=coded, media_type="image/jpeg"))

    def _add_hand(self, name: str, hand: TrackedHand) -> None:
        rerun = self._rerun
        strength = 1.0 if hand.state is State.TRACKED else _FADED
        colours = (_COLOURS * strength).astype(np.uint8)
        seen_px, fitted_m = hand.joints_px + 0.5, hand.joints_mm / 1000
        points = {"colors": colours, "labels": JOINT_NAMES, "show_labels": False}
        self.stream.log(
            f"{_PICTURE}/{name}/joints", rerun.Points2D(seen_px, radii=rerun.Radius.ui_points(3.0), **points)
        )
        self.stream.log(
            f"{_PICTURE}/{name}/bones",
            rerun.LineStrips2D(seen_px[_BONES], radii=rerun.Radius.ui_points(1.5), colors=colours[_BONES[:, 1]]),
        )
        self.stream.log(f"{_SPACE}/{name}/joints", rerun.Points3D(fitted_m, radii=_JOINT_M, **points))
        self.stream.log(
            f"{_SPACE}/{name}/bones", rerun.LineStrips3D(fitted_m[_BONES], radii=_BONE_M, colors=colours[_BONES[:, 1]])
        )
