"""One way to run a command with sub-commands: parse, call, tell an error in one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

from handpose.errors import HandposeError


def run_command(
    name: str, description: str, commands: Mapping[str, tuple[ModuleType, str]], arguments: Sequence[str] | None
) -> int:
    """Run the sub-command that `arguments` name: its module has `add_arguments(parser)` and `run(args)`.

    Gives the exit code: 0 done or closed by the user, 1 an error told in one line, 2 wrong usage.
    """
    parser = argparse.ArgumentParser(name, description=description)
    choices = parser.add_subparsers(required=True, metavar="COMMAND")
    for choice, (module, purpose) in commands.items():
        command = choices.add_parser(choice, help=purpose, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    args = parser.parse_args(arguments)
    try:
        args.run(args)
    except HandposeError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: stopped", file=sys.stderr)
    return 0


def add_effects_argument(parser: argparse.ArgumentParser) -> None:
    """Declare --effects: what a camera does to a composed picture."""
    from handpose.synthesis.compose import EFFECTS  # not needed to track

    parser.add_argument(
        "--effects", nargs="*", choices=EFFECTS, default=EFFECTS, metavar="EFFECT",
        help=f"of the camera, after compositing: {', '.join(EFFECTS)} (default: all; none where none is named)",
    )  # fmt: skip
