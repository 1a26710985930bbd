"""`geocongan`: prepare, train-silnet, train, export, translate, evaluate."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from geocongan import evaluate, export, prepare, train, train_silnet, translate
from handpose.command import run_command

COMMANDS = {
    "prepare": (prepare, "cut real hands out of photographs"),
    "train-silnet": (train_silnet, "learn silhouettes of both sides"),
    "train": (train, "learn to translate rendered hands into photographed ones"),
    "export": (export, "write a trained translator as one file"),
    "translate": (translate, "write translated hands in the GANerated layout"),
    "evaluate": (evaluate, "measure realism and how well the pose is kept"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 0 done, 1 an error told in one line, 2 wrong usage."""
    return run_command("geocongan", "Rendered hands become photographs, and the pose stays.", COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
