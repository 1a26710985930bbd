"""The command `handpose`: render hands, inspect datasets. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from handpose.errors import HandposeError

COMMANDS = {
    "render": ("handpose.synthesis.render", "write rendered hands in the SynthHands layout"),
    "inspect": ("handpose.data.inspect", "count a dataset, list what is broken in it, and show it"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code: 0 done or closed by the user, 1 an error told in one line, 2 wrong usage."""
    parser = argparse.ArgumentParser("handpose", description="Hands and cameras: rendered data and datasets.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (module_name, purpose) in COMMANDS.items():
        module = import_module(module_name)
        command = commands.add_parser(name, help=purpose, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    args = parser.parse_args(arguments)
    try:
        args.run(args)
    except HandposeError as error:
        print(f"handpose: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("handpose: stopped", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
