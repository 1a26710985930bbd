"""What TensorBoard shows of a run: its losses, measures and pictures, in event files beside the CSV."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from handpose.errors import HandposeError

_FLUSHED_S = 20  # a run that is killed loses no more than that


class Board:
    """Event files in a run's folder. Raises HandposeError without the package that writes them, which needs no TensorFlow."""

    def __init__(self, folder: Path):
        if not find_spec("tensorboardX"):
            raise HandposeError("--tensorboard needs the package tensorboardX: pip install tensorboardX")
        self.folder = folder / "tensorboard"
        self._opened: Any = None

    def scalars(self, step: int, group: str, values: dict[str, float]) -> None:
        """Show numbers over steps, as group/name."""
        for name, value in values.items():
            self._writer(step).add_scalar(f"{group}/{name}", value, step)

    def picture(self, step: int, name: str, picture: np.ndarray) -> None:
        """Show a picture (H, W, 3) uint8 of a step."""
        self._writer(step).add_image(name, picture, step, dataformats="HWC")

    def _writer(self, step: int):
        if self._opened is None:
            from tensorboardX import SummaryWriter

            # A run that goes on from its checkpoint hides what it had shown of later steps.
            self._opened = SummaryWriter(str(self.folder), purge_step=step, flush_secs=_FLUSHED_S)
        return self._opened
