"""The tracker: frames in, hands out. Per hand: crop, RegNet, fit, filter; the detector only where a hand may be missing."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from handpose.camera import Camera, check_fov
from handpose.errors import HandposeError
from handpose.prediction import Prediction
from handpose.skeleton import SIDES, Side, Skeleton
from tracker.aim import STILL_THERE, hand_score
from tracker.detector import Detection, without_doubles
from tracker.hand import State, TrackedHand
from tracker.in_shape import expected_error, look_in_shape, sights_in_shape
from tracker.load import averaging, load_detector, load_predictor
from tracker.recognise import FindHands, Predictor, Sight, ask_both_ways, on_one_hand, recognise
from tracker.search import look_everywhere, look_in_part, parts_of
from tracker.track import Track

_REMEMBER_S = 3.0  # a hand that comes back within this time keeps its identity
_DETECT_EVERY = 10  # frames between looks for a further hand while a slot is free
_FEW, _MANY = 2, 8  # detections beyond the hands wanted that RegNet looks at, in a video and in a picture
_COVERS = 0.5  # a detection nearer to a tracked hand than this, in sides of the larger, is that hand


class HandTracker:
    """Tracks hands from frame to frame: `tracker(frame_rgb, time_s)` gives the hands of the frame.

    camera: of the frames (default: `fov_deg` across, or 60 degrees across the longer side). hands: at most so many. side: "left" or "right" where all
    hands are known to be that. mirrored: frames are a selfie mirror; they are turned back first, and pixels are those of the frame
    turned back. hand: a left Skeleton of the user's size. predictor, detector: RegNet and the detector, or stand-ins (default: the
    weights that come with the package, on `runtime` auto, openvino or onnx and `device` auto, cpu or gpu).

    `frame_camera` is that of the last frame or picture. Where its pixels are no squares, the detector sees frames in their own shape.
    Raises HandposeError where an option makes no sense or weights cannot be used.
    """

    frame_camera: Camera

    def __init__(
        self,
        camera: Camera | None = None,
        hands: int = 2,
        side: Side | None = None,
        mirrored: bool = False,
        hand: Skeleton | None = None,
        runtime: str = "auto",
        device: str = "auto",
        predictor: Predictor | None = None,
        detector: FindHands | None = None,
        fov_deg: float | None = None,
    ):
        if hands < 1:
            raise HandposeError(f"at least one hand has to be looked for, not {hands}")
        if side is not None and side not in SIDES:
            raise HandposeError(f"a side is left or right, not {side}")
        check_fov(fov_deg)
        self.camera, self.fov_deg, self.hands, self.side, self.mirrored = camera, fov_deg, hands, side, mirrored
        own = hand or Skeleton.default("left")
        own = own if own.side == "left" else own.mirrored()
        self.skeletons: dict[Side, Skeleton] = {"left": own, "right": own.mirrored()}
        self.predictor = predictor or load_predictor(runtime=runtime, device=device)
        self.detector = detector or load_detector(runtime=runtime, device=device)
        self.stage_ms: dict[str, float] = {}
        self.reset()

    def reset(self) -> None:
        """Forget all hands; the next gets id 1."""
        self._time_s = -math.inf
        self._tracks: list[Track] = []
        self._lost: list[Track] = []
        self._next_number, self._since_detection, self._glances = 1, 0, -1

    def __call__(self, frame_rgb: np.ndarray, time_s: float) -> list[TrackedHand]:
        """Track through a frame (H, W, 3) RGB uint8 taken at `time_s` [s]; the hands tracked or carried on, by id.

        A time before that of the last frame begins another clip: what was tracked is forgotten, as by `reset`.
        """
        if time_s < self._time_s:
            self.reset()
        self._time_s = time_s
        self.stage_ms = {"detect": 0.0, "regnet": 0.0, "fit": 0.0}
        image, camera = self._prepared(frame_rgb)
        for track, prediction in self._look(image):
            with self._timed("fit"):
                if prediction is not None:
                    track.see(prediction, track.crop, time_s)
                else:
                    track.miss(time_s)
        self._drop_doubles()
        self._know_again()
        if self._should_detect():
            slots = self._free_slots()
            with self._timed("detect"):
                found = look_in_shape(image, camera, self._glance)
            for sight in self._sights(image, camera, found, slots, slots + _FEW):
                self._welcome(sight, camera, time_s)
        self._let_go(time_s)
        return [track.hand() for track in sorted(self._tracks, key=lambda track: track.number)]

    def picture(self, image_rgb: np.ndarray, fov_deg: float | None = None) -> list[TrackedHand]:
        """Find the hands of a picture on its own, ids from 1, best first; what was tracked before is forgotten.

        `fov_deg` is its own horizontal field of view, where it is known; a camera or a field of view of the tracker's goes before. Where
        nothing is known of a square picture, the hands in it tell whether it was squeezed (`tracker.in_shape`): `frame_camera` then has
        higher or wider pixels.
        """
        self.reset()
        self.stage_ms = {"detect": 0.0, "regnet": 0.0, "fit": 0.0}
        image, camera = self._prepared(image_rgb, fov_deg)
        careful = averaging(self.predictor)

        def look(camera: Camera) -> list[Sight]:
            with self._timed("detect"):
                found = look_in_shape(image, camera, partial(look_everywhere, detector=self.detector))
            return self._sights(image, camera, found, self.hands, self.hands + _MANY, careful)

        def expect(camera: Camera, sights: list[Sight]) -> float:
            with self._timed("regnet"):
                return expected_error(image, camera, sights, careful, self.side)

        if self.camera is None and self.fov_deg is None and fov_deg is None:
            self.frame_camera, sights = sights_in_shape(camera, look, expect)
        else:
            sights = look(camera)
        for sight in sights:
            self._welcome(sight, self.frame_camera, 0.0)
        self._time_s = math.inf  # whatever comes next begins anew
        return [track.hand() for track in self._tracks]

    def camera_for(self, size_px: tuple[int, int], fov_deg: float | None = None) -> Camera:
        """Give the camera for frames of a size, by their own field of view where nothing was given.

        Raises HandposeError where the given camera is for another shape of frames.
        """
        if self.camera is None:
            return Camera.from_fov(size_px, fov_deg if self.fov_deg is None else self.fov_deg)
        if self.camera.size_px == size_px:
            return self.camera
        (width, height), (own_width, own_height) = size_px, self.camera.size_px
        if abs(width * own_height - height * own_width) > 0.02 * width * own_height:
            raise HandposeError(f"the camera is for frames of {own_width}x{own_height} px, these have {width}x{height}")
        return self.camera.scaled_to(size_px)

    def _prepared(self, frame_rgb: np.ndarray, fov_deg: float | None = None) -> tuple[np.ndarray, Camera]:
        if not isinstance(frame_rgb, np.ndarray):
            raise HandposeError(f"a frame is an array (H, W, 3) RGB uint8, not {type(frame_rgb).__name__}")
        if frame_rgb.ndim != 3 or frame_rgb.shape[2] != 3 or not frame_rgb.size or frame_rgb.dtype != np.uint8:
            raise HandposeError(f"a frame is (H, W, 3) RGB uint8, not {frame_rgb.shape} {frame_rgb.dtype}")
        camera = self.camera_for((frame_rgb.shape[1], frame_rgb.shape[0]), fov_deg)
        self.frame_camera = camera
        if any(track.camera.size_px != camera.size_px for track in self._tracks + self._lost):
            self.reset()
        return np.ascontiguousarray(frame_rgb[:, ::-1]) if self.mirrored else frame_rgb, camera

    def _look(self, image: np.ndarray) -> list[tuple[Track, Prediction | None]]:
        """Look at all tracked hands in one batch; a hand whose side is asked for is fed both ways. None: it is not seen."""
        sides = [SIDES if track.asks_side else (track.side,) for track in self._tracks]
        crops = [track.crop for track, fed in zip(self._tracks, sides, strict=True) for _ in fed]
        with self._timed("regnet"):
            answers = iter(self.predictor(image, crops, [side for fed in sides for side in fed]) if crops else ())
        seen: list[tuple[Track, Prediction | None]] = []
        for track, fed in zip(self._tracks, sides, strict=True):
            ways = {side: next(answers) for side in fed}
            present = max(hand_score(prediction) for prediction in ways.values()) >= STILL_THERE
            if present and len(ways) > 1:
                ask_both_ways(ways, track.vote)
            seen.append((track, ways[track.side] if present else None))
        return seen

    def _free_slots(self) -> int:
        return self.hands - sum(track.state is State.TRACKED for track in self._tracks)

    def _should_detect(self) -> bool:
        self._since_detection += 1
        if self._free_slots() <= 0:
            return False
        all_seen = all(track.state is State.TRACKED for track in self._tracks)
        return not self._tracks or not all_seen or self._since_detection >= _DETECT_EVERY

    def _sights(
        self,
        image: np.ndarray,
        camera: Camera,
        found: list[Detection],
        slots: int,
        candidates: int,
        careful: Predictor | None = None,
    ) -> list[Sight]:
        """Give those hands `found` that no track covers, best first; RegNet looks at no more than `candidates` of them."""
        self._since_detection = 0
        new = [detection for detection in found if not self._covered(detection)]
        with self._timed("regnet"):
            sights = recognise(image, camera, new[:candidates], self.predictor, slots, self.side, careful)
        taken = [track.joints_px for track in self._tracks if track.state is State.TRACKED]
        return [one for one in sights if not any(on_one_hand(one.joints_px, joints, camera) for joints in taken)]

    def _glance(self, image: np.ndarray) -> list[Detection]:
        """Look at the whole frame, and from glance to glance at another part of it, where a small hand may be."""
        found, parts = list(self.detector(image)), parts_of(image)
        if parts and not self._tracks:
            self._glances = (self._glances + 1) % len(parts)
            found += look_in_part(image, self.detector, parts[self._glances])
        return without_doubles(found)

    def _covered(self, detection: Detection) -> bool:
        for track in self._tracks:
            if track.state is not State.TRACKED:
                continue
            squares = track.camera.to_squares
            low, high = track.joints_px.min(0) * squares, track.joints_px.max(0) * squares
            reach = _COVERS * max(detection.side_px * squares.mean(), float((high - low).max()))
            if np.linalg.norm(detection.centre_px * squares - (low + high) / 2) < reach:
                return True
        return False

    def _welcome(self, sight: Sight, camera: Camera, time_s: float) -> None:
        """Give a hand found anew to the track that lost it, or start one; a sight whose joints place no hand is none."""
        missing = [track for track in self._tracks if track.state is State.PREDICTED] + self._lost
        known = [track for track in missing if track.side == sight.vote.side or not track.vote.settled]
        centre = sight.joints_px.mean(0)
        track = min(known, key=lambda one: float(np.linalg.norm(one.joints_px.mean(0) - centre)), default=None)
        if track is None:
            track = Track(self._next_number, sight.vote, camera, self.skeletons, sight.crop)
        if track in self._lost:
            track.restart()
        else:
            track.leap()  # RegNet did not see it where its motion led
        with self._timed("fit"):
            track.see(sight.ways[track.side], sight.crop, time_s)
        if track.state is not State.TRACKED or track in self._tracks:
            return
        self._next_number = max(self._next_number, track.number + 1)
        self._lost = [other for other in self._lost if other is not track]
        self._tracks.append(track)

    def _drop_doubles(self) -> None:
        """Where two tracks came to sit on one hand, the younger lets go; whose hand it is has to show anew."""
        kept: list[Track] = []
        for track in sorted(self._tracks, key=lambda one: (one.state is not State.TRACKED, one.number)):
            other = next((one for one in kept if on_one_hand(track.joints_px, one.joints_px, track.camera)), None)
            if other is None:
                kept.append(track)
            else:
                self._lost.append(track)
                other.vote.temper()
        self._tracks = kept

    def _know_again(self) -> None:
        """Give a hand whose side has turned out to be that of one lost before it came the number and the vote of that one: its first looks misled."""
        for track in self._tracks:
            before = [one for one in self._lost if one.side == track.side and one.last_seen_s < track.first_seen_s]
            if before:
                was = max(before, key=lambda one: one.last_seen_s)
                track.number, track.vote, track.first_seen_s = was.number, was.vote, was.first_seen_s
                self._lost.remove(was)

    def _let_go(self, time_s: float) -> None:
        gone = [track for track in self._tracks if track.outlived(time_s)]
        gone += sorted(
            (track for track in self._tracks if track not in gone),
            key=lambda track: (track.state is not State.TRACKED, track.number),
        )[self.hands :]
        self._tracks = [track for track in self._tracks if track not in gone]
        self._lost = [track for track in self._lost + gone if time_s - track.last_seen_s <= _REMEMBER_S]

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.stage_ms[stage] += 1000 * (time.perf_counter() - started)
