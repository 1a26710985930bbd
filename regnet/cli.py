"""The command `regnet`: train, test, export, summary. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from handpose.errors import HandposeError
from regnet import evaluate, export, summary, train

COMMANDS = {
    "train": (train, "learn from rendered hands and photographs"),
    "test": (evaluate, "measure a network on labelled hands, or look at what it sees"),
    "export": (export, "write a trained network as ONNX"),
    "summary": (summary, "print a network's layers and cost"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code: 0 done or closed by the user, 1 an error told in one line, 2 wrong usage."""
    parser = argparse.ArgumentParser("regnet", description="From a picture of a hand to 2D heatmaps and 3D joints.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (module, purpose) in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    args = parser.parse_args(arguments)
    try:
        args.run(args)
    except HandposeError as error:
        print(f"regnet: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("regnet: stopped", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
