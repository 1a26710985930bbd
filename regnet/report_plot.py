"""PCK curves of a measurement as one picture, the published ones beside them: one plot for each alignment, and one for 2D."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from handpose.errors import HandposeError
from handpose.metrics import pck
from regnet.measure import Measured
from regnet.protocols import Protocol
from regnet.published_results import IN_PIXELS, Published

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OF_BOX = "2D, share of the labelled joints' box"
_STEPS = 101
_COLUMNS = 3
_TO_MM, _TO_BOX = 100.0, 0.3
_PLOT_INCHES = (5.2, 4.2)

PckCurve = tuple[list[float], list[float]]


def pck_curves(measured: Measured, protocol: Protocol) -> dict[str, PckCurve]:
    """Give for 2D and for each alignment the limits of a PCK curve, and the shares of joints 0..1 within them."""
    of = {OF_BOX: (measured.of_box, _TO_BOX)}
    if protocol.in_pixels:
        of[IN_PIXELS] = (measured.picture_px, protocol.in_pixels)
    of |= {alignment: (errors, _TO_MM) for alignment, errors in measured.aligned_mm.items()}
    return {name: _curve(errors, up_to) for name, (errors, up_to) in of.items()}


def require_matplotlib() -> None:
    """Raise HandposeError where Matplotlib is not there: before a long measurement rather than after it."""
    if find_spec("matplotlib") is None:
        raise HandposeError('a report needs Matplotlib for its plot: pip install "ganerated-hands[train]"')


def plot_pck(curves: dict[str, PckCurve], published: Published, title: str, path: Path) -> None:
    """Draw `pck_curves` and what is published to a picture. Raises HandposeError where it cannot be written."""
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(_PLOT_INCHES[0] * columns, _PLOT_INCHES[1] * rows), layout="constrained")
    figure.suptitle(title)
    places: Sequence[Axes] = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for place in places[len(curves) :]:
        place.remove()
    for place, (name, curve) in zip(places, curves.items(), strict=False):
        _draw(place, name, curve, published)
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise HandposeError(f"{path}: cannot be written ({error})") from error


def _draw(place: Axes, name: str, curve: PckCurve, published: Published) -> None:
    place.plot(*curve, color="black", linewidth=2, label="measured here")
    for other in published.curves:
        if other.alignment == name:
            place.plot(other.limits_mm, other.shares, linestyle="--", marker=".", label=other.label)
    place.set(title=name, xlabel=_axis(name), ylabel="PCK: share of joints within", xlim=(0, curve[0][-1]), ylim=(0, 1))
    place.grid(alpha=0.3)
    place.legend(loc="lower right", fontsize="small")


def _axis(name: str) -> str:
    return {OF_BOX: "error / longer side of the box", IN_PIXELS: "error [px of the picture]"}.get(name, "error [mm]")


def _curve(errors: np.ndarray, up_to: float) -> PckCurve:
    limits = np.linspace(0, up_to, _STEPS).tolist()
    return limits, [pck(errors, limit) for limit in limits]
