"""Where the packages keep the networks that come along: parts that do not import one another meet at these files."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from handpose.errors import HandposeError


def shipped(package: str, name: str) -> Path:
    """Give the path of a file of weights that comes with a package, there or not. Raises HandposeError without the package."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise HandposeError(f"the package {package}, whose weights are needed, is not installed")
    return Path(spec.submodule_search_locations[0]) / "weights" / name
