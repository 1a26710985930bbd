"""`--read OPTION=VALUE`: what the reader of a dataset can be told beside the folder and the side of its split.

These are the parameters of its function `read` that have values to choose from, by their type hints. Words are what the user gives.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from handpose.errors import HandposeError


def add_read_argument(parser: argparse.ArgumentParser) -> None:
    """Declare --read."""
    parser.add_argument(
        "--read", nargs="+", action="extend", default=[], metavar="OPTION=VALUE",
        help="how a dataset is read, as wrist=fingers; a dataset's options are told where it does not have one",
    )  # fmt: skip


def check_read(words: Iterable[str], readers: Sequence[ModuleType]) -> None:
    """Raise HandposeError, which tells what there is, where none of the readers has an option or its value."""
    known = {name_of(reader): _options(reader) for reader in readers}
    for word in words:
        option, _, value = word.partition("=")
        if not any(value in options.get(option, {}) for options in known.values()):
            told = "; ".join(f"{name} is read with {_told(options)}" for name, options in known.items())
            raise HandposeError(f"--read {word}: {told or 'there is no dataset to read'}")


def read_arguments(reader: ModuleType, words: Iterable[str]) -> dict[str, Any]:
    """Give the arguments of `reader.read` for the options that it has; of one given twice the last counts.

    Options that it has not are passed over: of several sources each takes its own. Raises HandposeError for a value that it has not.
    """
    options, arguments = _options(reader), {}
    for word in words:
        option, _, value = word.partition("=")
        if option in options:
            check_read([word], [reader])
            arguments[option] = options[option][value]
    return arguments


def splits_of(reader: ModuleType) -> tuple[str, ...]:
    """Give the sides of a reader's split, by which a part of the dataset is read; none where it has no split."""
    return tuple(_values(get_type_hints(reader.read).get("split")))


def name_of(reader: ModuleType) -> str:
    """Give the name of a reader's module, by which it is known."""
    return reader.__name__.rpartition(".")[2]


def _options(reader: ModuleType) -> dict[str, dict[str, Any]]:
    """Give a reader's options by name: their values by the words for them."""
    hints = get_type_hints(reader.read)
    options = {name: _values(hint) for name, hint in hints.items() if name not in ("split", "return")}
    return {name: values for name, values in options.items() if values}


def _values(hint: Any) -> dict[str, Any]:
    if hint is bool:
        return {"true": True, "false": False}
    if get_origin(hint) is Literal:
        return {str(value): value for value in get_args(hint)}
    return {word: value for part in get_args(hint) for word, value in _values(part).items()}  # of a union


def _told(options: dict[str, dict[str, Any]]) -> str:
    return ", ".join(f"{name}={'|'.join(values)}" for name, values in options.items()) or "no options"
