"""The command `handpose`: render hands, inspect datasets. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from handpose.command import run_command
from handpose.data import inspect
from handpose.synthesis import render

COMMANDS = {
    "render": (render, "write rendered hands in the SynthHands layout"),
    "inspect": (inspect, "count a dataset, list what is broken in it, and show it"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code: 0 done or closed by the user, 1 an error told in one line, 2 wrong usage."""
    return run_command("handpose", "Hands and cameras: rendered data and datasets.", COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
