"""A run that is never stopped, and what `kill -9` would have left of it: both of one process."""

import csv
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path


def rows(path: Path) -> dict[int, dict[str, float]]:
    with path.open() as file:
        return {int(row["step"]): {k: float(v) for k, v in row.items() if k != "step"} for row in csv.DictReader(file)}


def run_and_kill(command: Sequence[str], environment: dict[str, str], whole: Path, killed: Path, step: int) -> int:
    """Run a command that trains in `whole` to its end; give the step, `step` or later, at which `killed` was left.

    The process stands still while its folder is copied, so the copy is what lies on the disk were it killed then.
    """
    with subprocess.Popen(command, env=environment) as process:
        try:
            deadline = time.monotonic() + 400  # beside other work on the machine
            while not ((whole / "checkpoint.npz").exists() and max(rows(whole / "losses.csv"), default=0) >= step):
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.01)
            os.kill(process.pid, signal.SIGSTOP)
            shutil.copytree(whole, killed)
            os.kill(process.pid, signal.SIGCONT)
            assert process.wait(timeout=400) == 0
        finally:
            process.kill()
    return max(rows(killed / "losses.csv"))
