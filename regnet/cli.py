"""The command `regnet`: train, test, export, summary. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from handpose.command import run_command
from regnet import evaluate, export, summary, train

COMMANDS = {
    "train": (train, "learn from rendered hands and photographs"),
    "test": (evaluate, "measure a network on labelled hands, or look at what it sees"),
    "export": (export, "write a trained network as ONNX, OpenVINO, LiteRT or SavedModel"),
    "summary": (summary, "print a network's layers and cost"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code: 0 done or closed by the user, 1 an error told in one line, 2 wrong usage."""
    return run_command("regnet", "From a picture of a hand to 2D heatmaps and 3D joints.", COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
