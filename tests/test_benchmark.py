"""The benchmark says on what it ran, and in a line what it cannot run on."""

import subprocess
import sys
from pathlib import Path

import pytest

from handpose.errors import HandposeError

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tools"))
import benchmark


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(["--video", "nowhere.mp4"], "nowhere.mp4: no such"), (["--json", "none/x.json"], "none: no such folder")],
)
def test_bad_input_is_one_line_and_code_1(arguments, reason, tmp_path):
    command = [sys.executable, str(ROOT / "tools" / "benchmark.py"), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"benchmark: {reason}")


def test_the_processor_has_a_name():
    name = benchmark._processor()
    assert name and name != "x86_64"


def test_start_up_and_memory_of_a_process_that_tracks():
    clip = ROOT / "tracker" / "demo" / "hand.mp4"
    figures = benchmark.fresh_process(clip, 5)
    assert figures["first_tracked_frame_s"] > 0 and figures["peak_memory_mb"] > 50
    with pytest.raises(HandposeError, match="5 frames are too few"):
        benchmark.tracking(clip, 5)
