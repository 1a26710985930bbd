"""One run of the tracker: frames from a source, hands to the files and the window, and what to say at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from handpose.errors import HandposeError
from tracker.hand import State, TrackedHand
from tracker.load import weights_in_words
from tracker.options import RECORDING
from tracker.overlay import OverlayWriter
from tracker.pipeline import HandTracker
from tracker.rerun_viewer import RerunRecorder
from tracker.sources import Frame, Source
from tracker.stopping import ended_like_ctrl_c
from tracker.track_file import Row, Writer, frame_row, header, open_writer
from tracker.viewer import View, Viewer


@dataclass
class Outputs:
    """Where a run's results go. camera_origin: given, fov or default, for which a picture's EXIF may stand in; hand_scale: calibrated, given or default."""

    tracks: Sequence[Path] = ()
    overlay: Path | None = None
    viewer: Viewer | None = None
    camera_origin: str = "default"
    hand_scale: str = "default"


@dataclass
class Summary:
    """What a run came to: frames, those with a hand, milliseconds per frame, and the rows where they were asked for."""

    frames: int = 0
    with_hand: int = 0
    stopped: bool = False
    frame_ms: list[float] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def __str__(self) -> str:
        if not self.frame_ms:
            return "no frames"
        speed = f"{np.median(self.frame_ms):.1f} ms a frame (p95 {np.percentile(self.frame_ms, 95):.1f})"
        return f"{self.frames} frames, {self.with_hand} with a hand, {speed}"


def run_session(
    source: Source,
    tracker: HandTracker,
    outputs: Outputs,
    keep_rows: bool = False,
    enough: Callable[[], bool] | None = None,
) -> Summary:
    """Track all frames of a source, or until `enough`; Ctrl-C, SIGTERM or a closed viewer ends it with everything so far written.

    Raises HandposeError where the source fails or a file cannot be written any further; what was written stays readable.
    """
    summary = Summary()
    try:
        with ended_like_ctrl_c(), ExitStack() as stack:
            if outputs.viewer is not None:
                stack.callback(outputs.viewer.close)
            writers, overlay, viewers = _open(outputs, source, _head(source, tracker, outputs), stack)
            bar = stack.enter_context(_progress(source))
            stack.enter_context(source)
            for frame in _frames(source, outputs):
                hands = _track(tracker, frame, summary, outputs)
                row = _row(tracker, frame, hands, outputs.camera_origin)
                for writer in writers:
                    writer.write(row)
                if keep_rows:
                    summary.rows.append(row)
                view = _view(tracker, frame, hands)
                if overlay is not None and frame.time_s is not None:
                    overlay.write(view.image, hands, frame.time_s)
                bar.update()
                still_open = [viewer.show(view) for viewer in viewers]
                if not all(still_open):
                    summary.stopped = True
                    break
                if enough is not None and enough():
                    break
    except KeyboardInterrupt:
        summary.stopped = True
    except OSError as error:
        raise HandposeError(f"writing stopped ({error.strerror or error}); what was written is kept") from error
    return summary


def _head(source: Source, tracker: HandTracker, outputs: Outputs) -> Row:
    camera = (
        tracker.camera_for(source.size_px).to_dict() | {"origin": outputs.camera_origin} if source.size_px else None
    )
    weights = weights_in_words(tracker.predictor, tracker.detector)
    head = header(source.label, source.fps, source.size_px, camera, outputs.hand_scale, weights)
    return head | ({"mirrored": True} if tracker.mirrored else {})


def _open(
    outputs: Outputs, source: Source, head: Row, stack: ExitStack
) -> tuple[list[Writer], OverlayWriter | None, list[Viewer]]:
    """Open the files; the stack closes each of them, whatever happens. Tracks come last: where another fails, those of before are there."""
    viewers = [] if outputs.viewer is None else [outputs.viewer]
    writers, overlay = [], None
    if outputs.overlay is not None:
        if source.size_px is None or source.fps is None:
            raise HandposeError("--overlay makes a video of a video: it goes with --video, --webcam or --demo")
        overlay = OverlayWriter(outputs.overlay, source.fps, source.size_px)
        stack.callback(overlay.close)
    for path in sorted(outputs.tracks, key=lambda path: path.suffix != RECORDING):
        if path.suffix == RECORDING:
            viewers.append(RerunRecorder(path, source.label))
            stack.callback(viewers[-1].close)
        else:
            writers.append(open_writer(path, head))
            stack.callback(writers[-1].close)
    return writers, overlay, viewers


def _frames(source: Source, outputs: Outputs) -> Iterator[Frame]:
    """Give the source's frames; where it fails, the error tells what is left of them."""
    try:
        yield from source
    except HandposeError as error:
        raise _with_what_is_kept(str(error), outputs) from error


def _with_what_is_kept(message: str, outputs: Outputs) -> HandposeError:
    return HandposeError(f"{message}; what was tracked is kept" if outputs.tracks or outputs.overlay else message)


def _track(tracker: HandTracker, frame: Frame, summary: Summary, outputs: Outputs) -> list[TrackedHand]:
    started = time.perf_counter()
    try:
        if frame.time_s is None:
            hands = tracker.picture(frame.image, frame.fov_deg)
        else:
            hands = tracker(frame.image, frame.time_s)
    except HandposeError as error:
        raise _with_what_is_kept(f"{frame.name}: {error}" if frame.name else str(error), outputs) from error
    summary.frame_ms.append(1000 * (time.perf_counter() - started))
    summary.frames += 1
    summary.with_hand += any(hand.state is State.TRACKED for hand in hands)
    return hands


def _view(tracker: HandTracker, frame: Frame, hands: list[TrackedHand]) -> View:
    image = frame.image[:, ::-1] if tracker.mirrored else frame.image
    return View(frame.index, frame.time_s, image, hands, tracker.frame_camera, tracker.stage_ms)


def _row(tracker: HandTracker, frame: Frame, hands: list[TrackedHand], origin: str) -> Row:
    if frame.name is None:
        return frame_row(frame.index, frame.time_s, hands)
    size = (frame.image.shape[1], frame.image.shape[0])
    origin = "exif" if frame.fov_deg and origin == "default" else origin
    camera = tracker.frame_camera.to_dict() | {"origin": origin}
    return frame_row(frame.index, None, hands, image=frame.name, size_px=list(size), camera=camera)


def _progress(source: Source):
    from tqdm import tqdm

    return tqdm(total=source.count or None, unit="frame", disable=None, dynamic_ncols=True, leave=False)
