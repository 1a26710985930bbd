"""Pictures and videos without labels, for `regnet test`: the tracker, as a process of its own, finds the hands, and they are drawn."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from handpose.errors import HandposeError


def track_video(video: Path, output: Path, weights: Path | None = None) -> None:
    """Write the tracks of a video to `output`, and the video with skeletons to OUTPUT_overlay.mp4. Raises HandposeError where that fails."""
    _tracker("--video", video, output, weights, ["--overlay", str(output.with_name(f"{output.stem}_overlay.mp4"))])


def track_pictures(folder: Path, output: Path, weights: Path | None = None) -> None:
    """Write the tracks of a folder's pictures to `output`, and the pictures with skeletons to the folder OUTPUT_overlays.

    Raises HandposeError where that fails.
    """
    if output.suffix != ".jsonl":
        raise HandposeError(f"{output}: what is drawn on the pictures is read from .jsonl; end it so")
    _tracker("--images", folder, output, weights, [])
    drawn = output.with_name(f"{output.stem}_overlays")
    count = draw_tracks(output, folder, drawn)
    print(f"wrote {count} pictures with skeletons to {drawn}")


def draw_tracks(tracks: Path, folder: Path, drawn: Path) -> int:
    """Draw the hands of a track file on the pictures of a folder; return how many pictures were written to the folder `drawn`."""
    import numpy as np

    from handpose.draw import draw_skeleton
    from handpose.images import read_image, write_image

    try:
        rows = [json.loads(line) for line in tracks.read_text().splitlines()]
        drawn.mkdir(exist_ok=True)
    except (OSError, ValueError) as error:
        raise HandposeError(f"{tracks}: the overlays cannot be drawn ({error})") from error
    rows = [row for row in rows if row.get("image")]
    for row in rows:
        picture = read_image(folder / row["image"])
        for hand in row["hands"]:
            picture = draw_skeleton(picture, np.array(hand["joints_px"]), np.array(hand["confidence"]))
        name = row["image"]  # with its ending: a.png and a.jpg are two pictures
        write_image(drawn / (name if name.endswith(".jpg") else f"{name}.jpg"), picture)
    return len(rows)


def _tracker(kind: str, source: Path, output: Path, weights: Path | None, more: list[str]) -> None:
    command = [sys.executable, "-m", "tracker", kind, str(source), "--output", str(output), *more]
    if weights is not None:
        command += ["--weights", str(weights)]
        command += [] if weights.suffix == ".onnx" else ["--runtime", "keras"]
    code = subprocess.run(command, check=False).returncode
    if code:
        raise HandposeError(f"{source}: the tracker stopped with exit code {code}")
