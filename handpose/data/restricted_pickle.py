"""Reading pickles that hold data only: NumPy arrays, dicts, lists, numbers and strings.

A pickle is a program: Python's own reader imports and calls whatever the file names. This one calls nothing of NumPy's either: the few
names by which arrays are pickled are answered by stand-ins, and the arrays are built from their bytes afterwards.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from handpose.errors import HandposeError

_PLAIN = (str, bytes, bool, int, float, np.ndarray, np.number, np.bool_, np.character)
# Numbers and strings of fixed size; objects and records are refused.
_DTYPE = re.compile(r"[biufc][0-9]{1,2}|[SU][0-9]{1,6}")


def load_pickle(path: Path) -> Any:
    """Read a pickle of NumPy arrays, dicts, lists, numbers and strings.

    Strings of Python 2 are read as Latin-1. Raises HandposeError naming the file where it is missing, broken, or holds anything else.
    """
    try:
        with path.open("rb") as file:
            return _settled(_Reader(file, encoding="latin1").load())
    except OSError as error:
        raise HandposeError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # a broken or hostile pickle fails in any way there is
        reason = " ".join(str(error).split()) or type(error).__name__
        raise HandposeError(f"{path}: no pickle of arrays, dicts, lists, numbers and strings ({reason})") from error


class _Reader(pickle.Unpickler):
    """Answers the names that pickled arrays use, refuses all others."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module.replace("numpy._core", "numpy.core"), name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


class _StandIn:
    """A name of NumPy's, called in place of NumPy; the file can set nothing on it."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]):
        self._make = make

    def __call__(self, *args: Any) -> Any:
        return self._make(*args)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it sets the state of a function")


class _Dtype:
    """A dtype being read: its kind and size first, its byte order by the state that follows."""

    __slots__ = ("_order", "_text")

    def __init__(self, text: Any):
        if not (isinstance(text, str) and _DTYPE.fullmatch(text)):
            raise pickle.UnpicklingError(f"an array of dtype {text!r}")
        self._text, self._order = text, "="

    def __setstate__(self, state: Any) -> None:
        order, *structure = state[1:5]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in structure):
            raise pickle.UnpicklingError("an array of records")
        self._order = order

    def array(self, raw: Any) -> np.ndarray:
        """Give the values, (N,), that lie in `raw`; the bytes of a Python 2 pickle come as Latin-1 text."""
        return np.frombuffer(raw.encode("latin1") if isinstance(raw, str) else raw, np.dtype(self._order + self._text))


class _Array:
    """An array being read: empty until its state comes."""

    __slots__ = ("values",)

    values: np.ndarray

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, column_major, raw = state
        self.values = _shaped(raw, dtype, shape, "F" if column_major else "C")


def _shaped(raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    if type(dtype) is not _Dtype or order not in ("C", "F"):
        raise pickle.UnpicklingError("an array without a dtype or an order")
    return dtype.array(raw).reshape(shape, order=order).copy()


def _scalar(dtype: Any, raw: Any) -> Any:
    return _shaped(raw, dtype, (1,), "C")[0]


def _empty_array(kind: Any, *_: Any) -> _Array:
    if kind is not _NDARRAY:
        raise pickle.UnpicklingError("an array of a kind of its own")
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    """Bytes in pickles of protocol 2 and less are Latin-1 text and a call to encode it."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"text encoded as {encoding!r}")
    return text.encode("latin1")


def _refuse(*_: Any) -> None:
    raise pickle.UnpicklingError("it calls numpy.ndarray")


_NDARRAY = _StandIn(_refuse)
_STAND_INS = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _StandIn(lambda text, *_: _Dtype(text)),
    ("numpy.core.multiarray", "_reconstruct"): _StandIn(_empty_array),
    ("numpy.core.multiarray", "scalar"): _StandIn(_scalar),
    ("numpy.core.numeric", "_frombuffer"): _StandIn(_shaped),
    ("_codecs", "encode"): _StandIn(_encode),
    ("builtins", "bytes"): _StandIn(lambda: b""),
    ("__builtin__", "bytes"): _StandIn(lambda: b""),
}


def _settled(content: Any) -> Any:
    """Put the finished arrays where they belong. Raises UnpicklingError where anything but data is left."""
    root = [content]
    waiting: list[Any] = [root]
    seen = set()  # a shared container is looked at once, and one that holds itself does no harm
    while waiting:
        container = waiting.pop()
        if id(container) in seen:
            continue
        seen.add(id(container))
        for key, value in list(container.items() if isinstance(container, dict) else enumerate(container)):
            if type(value) is _Array:
                container[key] = value.values
            elif type(value) in (dict, list):
                waiting.append(value)
            elif not isinstance(value, _PLAIN):
                raise pickle.UnpicklingError(f"it holds a {type(value).__name__.lstrip('_')}")
            if not isinstance(key, _PLAIN):
                raise pickle.UnpicklingError(f"a key is a {type(key).__name__.lstrip('_')}")
    return root[0]
