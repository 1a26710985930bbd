"""`regnet test --report DIR`: figures.json, report.md with a table for each alignment, pck.png, and worst.png with the worst hands.

2D and 3D, and errors of different alignments, never stand in one column: they are different quantities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from handpose.data.published import count_parts
from handpose.draw import contact_sheet, draw_skeleton
from handpose.errors import HandposeError
from handpose.images import write_image
from handpose.metrics import Score
from handpose.outputs import write_json, write_whole
from handpose.skeleton import JOINT_NAMES
from regnet.measure import AS_OTHER_SIDE, OTHER_SIDE_LIMIT, PCK_LIMITS, Measured, SeenHand
from regnet.protocols import ONLY_2D, Protocol
from regnet.published_results import IN_PIXELS, Published, published_on
from regnet.report_plot import pck_curves, plot_pck

FILES = _FIGURES, _TEXT, _PLOT, _WORST = "figures.json", "report.md", "pck.png", "worst.png"
_TILE, _COLUMNS = 192, 5


@dataclass(frozen=True, eq=False)
class Report:
    """A measurement with what it was made on: `source` as it was given, `dataset` by name, `split` or None for all of it."""

    source: str
    dataset: str
    split: str | None
    weights: str
    protocol: Protocol
    measured: Measured

    def content(self) -> dict[str, Any]:
        """Give the figures for programs, flat, with what they were measured on and how, those of 3D with their alignments."""
        content: dict[str, Any] = {"source": self.source, "dataset": self.dataset, "split": self.split}
        content |= {"protocol": self.protocol_name(), **self.measured.figures}
        content |= {f"n_{part}": count for part, count in self.parts().items()}
        return content | alignments_of(self.measured.scores)

    def protocol_name(self) -> str:
        """Name the protocol: that of 3D where 3D is known."""
        return self.protocol.name if self.measured.scores else ONLY_2D

    def side(self) -> str:
        """Say which side of the dataset was measured."""
        return f"its {self.split} side" if self.split else "all of it"

    def parts(self) -> dict[str, int]:
        """Count the hands of each part of the dataset, as of each camera; nothing where it has no parts."""
        counts = count_parts(self.dataset, Path(self.source), self.measured.names)
        return {part: count for part, count in counts.items() if part and count}

    def counted(self) -> str:
        """Say how many hands were measured, and how many of each part."""
        of_parts = ", ".join(f"{part} {count:,}" for part, count in self.parts().items())
        return f"{self.measured.figures['n']:,} hands" + (f" ({of_parts})" if of_parts else "")

    def write(self, folder: Path) -> None:
        """Write the report's files into `folder`, which is made where it is not there. Raises HandposeError where that fails."""
        curves = pck_curves(self.measured, self.protocol)
        content = self.content() | {"weights": self.weights, "notes": list(self.protocol.notes)}
        content["per_joint"] = {
            title: dict(zip(JOINT_NAMES, row, strict=True)) for title, row in self._per_joint().items()
        }
        content["curves"] = {name: {"limits": limits, "pck": shares} for name, (limits, shares) in curves.items()}
        content["worst"] = [{"name": hand.window.name, "error_px": hand.error_px} for hand in self.measured.worst]
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise HandposeError(f"{folder}: the report cannot be written ({error.strerror or error})") from error
        write_json(folder / _FIGURES, content, indent=1)
        write_whole(folder / _TEXT, self.markdown().encode())
        plot_pck(
            curves, published_on(self.dataset), f"{self.dataset}, {self.measured.figures['n']:,} hands", folder / _PLOT
        )
        write_image(folder / _WORST, gallery(self.measured.worst))
        print(f"wrote {folder}/{_TEXT} with {_FIGURES}, {_PLOT} and {_WORST}")

    def markdown(self) -> str:
        """Write the report out, a table for 2D and one for each alignment of 3D."""
        measured, published = self.measured, published_on(self.dataset)
        alignments = dict.fromkeys(score.alignment for score in measured.scores.values())
        parts = [
            f"# {self.dataset}: {self.counted()}",
            f"`{self.source}`, {self.side()}, each hand in its labelled crop; "
            f"weights: `{self.weights}`. Protocol: {self.protocol_name()}.",
            "".join(f"- {note}\n" for note in self.protocol.notes).rstrip(),
            "## 2D, over the labelled joints' box",
            _table(*self._in_2d()),
            *self._handedness(),
            *self._in_pixels(published),
            *(part for alignment in alignments for part in _aligned(alignment, measured.scores, published)),
            "## PCK",
            f"![PCK curves]({_PLOT})",
            "## Per joint",
            "Means over the hands where the joint is labelled.",
            _table(["joint", *self._per_joint()], _joint_rows(self._per_joint())),
            f"## The {len(measured.worst)} worst hands",
            "By their mean 2D error in the crop: the prediction on the left, the labels on the right.",
            f"![worst hands]({_WORST})",
            _table(["hand", "error [px of the crop]"], [[h.window.name, f"{h.error_px:.1f}"] for h in measured.worst]),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _in_2d(self) -> tuple[list[str], list[list[str]]]:
        figures = self.measured.figures
        head = ["", *(f"PCK@{limit:.2f}" for limit in PCK_LIMITS), "mean error", "of the crop [px]", "presence"]
        keys = [*(f"pck@{limit:.2f}" for limit in PCK_LIMITS), "epe_of_box", "epe_px", "presence"]
        if "side_right" in figures:
            head = [*head, "side right", f"PCK@{OTHER_SIDE_LIMIT:.2f}, taken for the other side"]
            keys = [*keys, "side_right", AS_OTHER_SIDE]
        return head, [["measured here", *(f"{figures[key]:.3f}" for key in keys)]]

    def _in_pixels(self, published: Published) -> list[str]:
        if not self.protocol.in_pixels:
            return []
        name = f"AUC 0-{self.protocol.in_pixels:g} px"
        own = self.measured.figures[f"auc_2d_0_{self.protocol.in_pixels:g}_px"]
        return [f"## {IN_PIXELS}", _beside(IN_PIXELS, {name: f"{own:.3f}"}, published)]

    def _handedness(self) -> list[str]:
        figures = self.measured.figures
        if "handedness_accuracy" not in figures:
            return []
        told = f"Pictures where the presence of both hands is told right, of {figures['handedness_pictures']:,}."
        cells = [["measured here", f"{figures['handedness_accuracy']:.3f}"]]
        return ["## Handedness, picture by picture", told, _table(["", "accuracy"], cells)]

    def _per_joint(self) -> dict[str, list[float | None]]:
        """Give mean errors (21) by what they are in; None for a joint that is never labelled."""
        measured = self.measured
        columns = {"2D, of the box": _joint_means(measured.of_box)}
        return columns | {f"{name} [mm]": _joint_means(errors) for name, errors in measured.aligned_mm.items()}


def alignments_of(scores: dict[str, Score]) -> dict[str, str]:
    """Give the alignment of each figure, for a flat file: by the figure's key and `_alignment`."""
    return {f"{key}_alignment": score.alignment for key, score in scores.items()}


def gallery(hands: Sequence[SeenHand]) -> np.ndarray:
    """Show hands, each as the network sees it and as it is labelled, side by side, with its name and error."""
    captions = [f"{hand.error_px:.1f} px  {hand.window.name[-40:]}" for hand in hands]
    return contact_sheet([_pair(hand) for hand in hands], min(_COLUMNS, len(hands)), captions)


def _pair(hand: SeenHand) -> np.ndarray:
    window = hand.window
    scale = _TILE / window.crop.size
    large = cv2.resize(window.image, (_TILE, _TILE), interpolation=cv2.INTER_CUBIC)
    labelled = np.where(window.valid[:, None], window.crop.to_crop(window.joints_px), np.nan)
    views = [draw_skeleton(large, (joints + 0.5) * scale - 0.5) for joints in (hand.joints_px, labelled)]
    return np.hstack(views)


def _aligned(alignment: str, scores: dict[str, Score], published: Published) -> list[str]:
    """Make the section of one alignment."""
    own = [score for score in scores.values() if score.alignment == alignment]
    cells = {f"{score.name} [{score.unit}]" if score.unit else score.name: f"{score.value:.3f}" for score in own}
    units = {
        score.name: f"{score.joints} of {score.n:,} {'pictures' if score.name == 'MRRPE' else 'hands'}" for score in own
    }
    alike = len(set(units.values())) == 1
    counted = units[own[0].name] if alike else "; ".join(f"{name}: {unit}" for name, unit in units.items())
    return [f"## 3D, {alignment}", f"{counted}.", _beside(alignment, cells, published)]


def _beside(alignment: str, cells: dict[str, str], published: Published) -> str:
    """Set own figures and the published ones of the same kind one below the other."""
    rows = [["measured here", *cells.values()]]
    for result in published.results:
        if result.alignment == alignment:
            rows.append([result.method, *(f"{result.figures[k]:.3f}" if k in result.figures else "" for k in cells)])
    return _table(["", *cells], rows)


def _joint_means(errors: np.ndarray) -> list[float | None]:
    labelled = np.isfinite(errors)
    totals, counts = np.where(labelled, errors, 0).sum(0), labelled.sum(0)
    return [float(total / count) if count else None for total, count in zip(totals, counts, strict=True)]


def _joint_rows(columns: dict[str, list[float | None]]) -> list[list[str]]:
    rows = zip(JOINT_NAMES, *columns.values(), strict=True)
    return [[name, *("" if mean is None else f"{mean:.3f}" for mean in means)] for name, *means in rows]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
