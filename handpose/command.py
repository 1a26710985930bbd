"""One way to run a command with sub-commands: parse, call, tell an error in one line."""

from __future__ import annotations

import argparse
import io
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import ModuleType

from handpose.errors import HandposeError

_EXTRAS = {  # of setup.py, and what one imports of them
    "train": (
        "ai_edge_litert", "array_record", "grain", "keras", "matplotlib", "onnx", "tensorboardX", "tensorflow",
        "tf2onnx",
    ),
    "cluster": ("ray",),
    "viewer": ("rerun",),
    "inception": ("torchmetrics",),
}  # fmt: skip


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
    return exit_code(name, partial(args.run, args))


def exit_code(name: str, work: Callable[[], object]) -> int:
    """Do a command's work; give 0 when it is done or closed by the user, and 1 for an error, told in one line.

    Names of files may hold what a terminal cannot show: it is escaped.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        work()
    except HandposeError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except ImportError as error:
        print(f"{name}: {what_to_install(error)}", file=sys.stderr)
        return 1
    except OSError as error:  # of a file or folder that nothing else was to be said of
        print(
            f"{name}: {': '.join(str(part) for part in (error.filename, error.strerror or error) if part)}",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print(f"{name}: stopped", file=sys.stderr)
    return 0


def require(args: argparse.Namespace, **least: int) -> None:
    """Raise HandposeError where an option that was given is less than it may be, or not finite."""
    for option, minimum in least.items():
        value = getattr(args, option)
        if value is None:
            continue
        if not math.isfinite(value):
            raise HandposeError(f"--{option.replace('_', '-')} must be a finite number, not {value}")
        if value < minimum:
            raise HandposeError(f"--{option.replace('_', '-')} must be {minimum} or more, not {value}")


def what_to_install(error: ImportError) -> str:
    """Say in a line what to do about a package that cannot be imported."""
    if "libGL" in str(error):
        return "OpenCV needs libGL, which is not here: pip uninstall opencv-python, pip install opencv-python-headless"
    package = (error.name or "").partition(".")[0]
    for extra, packages in _EXTRAS.items():
        if package in packages:
            return f'this needs the package {package}: pip install "ganerated-hands[{extra}]"'
    return f"a package cannot be loaded ({error}): install the project with pip again"


def add_effects_argument(parser: argparse.ArgumentParser) -> None:
    """Declare --effects: what a camera does to a composed picture."""
    from handpose.synthesis.compose import EFFECTS  # not needed to track

    parser.add_argument(
        "--effects", nargs="*", choices=EFFECTS, default=EFFECTS, metavar="EFFECT",
        help=f"of the camera, after compositing: {', '.join(EFFECTS)} (default: all; none where none is named)",
    )  # fmt: skip
