"""`regnet test --report`: every figure under its own alignment, the published ones beside it, the worst hands shown."""

import json
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import test_dexter
import test_freihand
import test_interhand
import test_json_labels
import test_panoptic
import test_rhd
import test_stb
from matplotlib.figure import Figure
from test_protocols import Upright
from tests_data import write_photo_set

from handpose import metrics
from handpose.images import read_image
from regnet import evaluate as evaluation
from regnet import report_plot
from regnet.cli import main
from regnet.predictor import DEFAULT_WEIGHTS, Predictor
from regnet.protocols import PROTOCOLS, TIPS_ALIGNED
from regnet.published_results import IN_PIXELS, published_on
from regnet.report import FILES
from regnet.report_plot import OF_BOX


def write_panoptic(root):
    """Two hands that papers test on, on one of which a joint is not marked."""
    points = test_panoptic.hand()
    points[3, 2] = 0
    test_panoptic.write_beside(root / "hand_labels" / "manual_test", "000015774_01_l", points)
    test_panoptic.write_beside(root / "hand_labels" / "manual_test", "000015774_01_r", is_left=0)


WRITERS = {
    "photos": lambda root: write_photo_set(root, 3),
    "json_labels": lambda root: test_json_labels.write(
        root, [{**row, "held_out": True} for row in test_json_labels.rows()]
    ),
    "dexter": test_dexter.write_object,
    "ego_dexter": test_dexter.write_ego,
    "stb": test_stb.write,
    "rhd": lambda root: test_rhd.write(root, {0: test_rhd.labels(), 7: test_rhd.labels()}, "evaluation"),
    "interhand": lambda root: test_interhand.released(root, 2),
    "freihand": test_freihand.write_set,
    "panoptic": write_panoptic,
}
# Their fixtures have the side on which papers test, or people held out; of the others all is measured.
SIDES = {"json_labels": "held_out", "stb": "held_out", "rhd": "held_out", "panoptic": "held_out"}


@pytest.fixture(scope="module", params=WRITERS)
def written(request, tmp_path_factory):
    """A dataset's kind, the figures of its report, its text and its folder."""
    root = tmp_path_factory.mktemp(request.param)
    if request.param != "photos":
        (root / "set").mkdir()
    WRITERS[request.param](root / "set")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "load_predictor", lambda weights: Predictor(Upright()))
        patch.setattr(Figure, "savefig", saved_with_its_lines)
        with redirect_stdout(StringIO()) as printed:
            assert main(["test", "--i", str(root / "set"), "--report", str(root / "report")]) == 0
    (root / "printed.txt").write_text(printed.getvalue())
    figures = json.loads((root / "report" / "figures.json").read_text())
    return request.param, figures, (root / "report" / "report.md").read_text(), root / "report"


def saved_with_its_lines(figure, path, save=Figure.savefig, **options):
    """Note beside the picture what its plots draw: their titles, legends, and of each line its label, limits and shares."""
    drawn = [
        (
            place.get_title(),
            [text.get_text() for text in place.get_legend().texts],
            [[line.get_label(), *line.get_xydata().T.tolist()] for line in place.lines],
        )
        for place in figure.axes
    ]
    (path.parent / "drawn.json").write_text(json.dumps(drawn))
    save(figure, path, **options)


def alignments_in(figures):
    """The alignments of figures by their keys, from a flat file."""
    return {key.removesuffix("_alignment"): value for key, value in figures.items() if key.endswith("_alignment")}


def tables(text):
    """The tables of a report by the heading above: (heading, head, rows)."""
    for section in re.split(r"\n## ", text)[1:]:
        lines = [line[2:-2].split(" | ") for line in section.splitlines() if line.startswith("| ")]
        if lines:
            yield section.splitlines()[0], lines[0], lines[2:]


def test_no_table_mixes_alignments_or_2d_with_3d(written):
    _, figures, text, _ = written
    alignments = alignments_in(figures)
    found = {heading: (head, rows) for heading, head, rows in tables(text)}
    assert {heading[4:] for heading in found if heading.startswith("3D, ")} == set(alignments.values())
    for heading, (head, rows) in found.items():
        if heading.startswith("3D, "):
            own = [key for key, alignment in alignments.items() if alignment == heading[4:]]
            assert rows[0][0] == "measured here" and rows[0][1:] == [f"{figures[key]:.3f}" for key in own]
            assert len(head) == 1 + len(own)
        if heading.startswith("2D"):
            assert not any("mm" in cell for cell in head)
    head, rows = found["Per joint"]
    assert len(rows) == 21 and len(head) == 2 + len(set(alignments.values()) - {"left W relative to right W"})
    assert head[1] == "2D, of the box" and all(cell.endswith("[mm]") for cell in head[2:])


def test_what_is_published_stands_under_its_own_alignment(written):
    kind, figures, text, _ = written
    published = published_on(figures.get("dataset", ""))
    assert bool(published.results) == (kind in ("dexter", "ego_dexter", "stb", "rhd", "panoptic"))
    found = {heading.removeprefix("3D, "): (head, rows) for heading, head, rows in tables(text)}
    for result in published.results:
        head, rows = found[result.alignment]
        row = next(row for row in rows if row[0] == result.method)
        assert {name: float(cell) for name, cell in zip(head[1:], row[1:]) if cell.strip()} == result.figures
    counted = sum(len(rows) - 1 for heading, _, rows in tables(text) if heading.startswith(("3D", IN_PIXELS)))
    assert counted == len(published.results)


def test_protocol_split_and_notes_are_named(written):
    kind, figures, text, folder = written
    printed = (folder.parent / "printed.txt").read_text()
    protocol, side = PROTOCOLS.get(kind.removeprefix("ego_")), SIDES.get(kind)
    assert figures["split"] == side and DEFAULT_WEIGHTS.name in text
    assert (f"its {side} side" if side else "all of it") in text
    for note in protocol.notes if protocol else ():
        assert f"- {note}" in text and note in figures["notes"]
    if kind == "json_labels":
        assert figures["n"] == 4 and text.count("21 joints of 2 hands.") == 2, "of two there is no 3D"
    if kind == "panoptic":
        assert figures["protocol"] == "2D only" and "3D" not in text and figures["n"] == 2
    if kind == "freihand":
        assert "F@5 mm and F@15 mm compare vertices: this network gives joints and no mesh" in text
    if kind == "interhand":
        assert figures["mrrpe_mm"] > 0 and "MRRPE [mm]" in text and "one hand's labelled crop" in text
        assert figures["handedness_pictures"] == 2 and "## Handedness, picture by picture" in text
        assert "MPJPE, interacting hands [mm]" in text and "MPJPE, single hands" not in text
        assert {note in printed for note in protocol.notes} == {True}


def test_curves_are_those_of_the_figures(written):
    _, figures, _, _ = written
    curves = figures["curves"]
    at = dict(zip(np.round(curves[OF_BOX]["limits"], 6), curves[OF_BOX]["pck"], strict=True))
    assert at[0.06] >= at[0.03] and at[0.3] <= 1
    for limit in (0.05, 0.1):  # between two limits of the curve
        around = [share for near, share in at.items() if abs(near - limit) < 0.0031]
        assert min(around) <= figures[f"pck@{limit:.2f}"] <= max(around)
    for key, alignment in alignments_in(figures).items():
        if key.endswith(("auc_20_50", "auc_0_100")):
            limits, shares = (np.array(curves[alignment][name]) for name in ("limits", "pck"))
            low, high = (int(word) for word in key.split("_")[-2:])
            inside = shares[(limits >= low) & (limits <= high)]
            assert inside.mean() == pytest.approx(figures[key], abs=0.02)


def test_the_plot_draws_the_own_curves_and_every_published_one(written):
    _, figures, _, folder = written
    published = published_on(figures["dataset"]).curves
    drawn = json.loads((folder / "drawn.json").read_text())
    assert [title for title, _, _ in drawn] == list(figures["curves"])
    for title, legend, lines in drawn:
        own = figures["curves"][title]
        beside = [curve for curve in published if curve.alignment == title]
        assert lines[0] == ["measured here", own["limits"], own["pck"]]
        assert lines[1:] == [[curve.label, curve.limits_mm.tolist(), curve.shares.tolist()] for curve in beside]
        assert legend == ["measured here", *(curve.label for curve in beside)]
    assert sum(len(lines) - 1 for _, _, lines in drawn) == len(published)


def test_the_pictures_show_something(written):
    _, figures, _, folder = written
    plots = len(figures["curves"])
    image = read_image(folder / "pck.png")
    assert image.shape[1] == int(5.2 * 110 * min(plots, 3)) and image.std() > 10
    worst = read_image(folder / "worst.png")
    count = len(figures["worst"])
    assert count == min(figures["n"], 25) and worst.shape == (192 * -(-count // 5), 384 * min(count, 5), 3)
    errors = [hand["error_px"] for hand in figures["worst"]]
    assert errors == sorted(errors, reverse=True) and errors[-1] > 0
    prediction, labels = (half.astype(int) for half in np.split(worst[:170, :384], 2, axis=1))
    assert np.abs(prediction - labels).max() > 100


def test_published_curves_have_their_published_areas():
    """Their areas are those that stand beside them, wherever a curve reaches over the whole range."""
    stb, dexter = published_on("STB"), published_on("Dexter+Object-corrected")
    assert [len(curve.shares) for curve in stb.curves] == [11, 11] and [len(c.shares) for c in dexter.curves] == [
        20
    ] * 3
    for curve in (*stb.curves, *dexter.curves):
        assert (np.diff(curve.shares) >= 0).all() and len(curve.limits_mm) == len(curve.shares)
    areas = {
        result.method: result.figures for result in (*stb.results, *dexter.results) if result.alignment != IN_PIXELS
    }
    for curve in dexter.curves:
        fine = np.linspace(0, 100, 2001)
        area = np.interp(fine, curve.limits_mm, curve.shares).mean()
        assert area == pytest.approx(areas[curve.label]["AUC 0-100 mm"], abs=0.006)
    for curve in stb.curves:
        name = next(name for name in areas if name.startswith(curve.label))
        span = curve.limits_mm[-1] - curve.limits_mm[0]
        assert np.trapezoid(curve.shares, curve.limits_mm) / span == pytest.approx(
            areas[name]["AUC 20-50 mm"], abs=0.01
        )


def test_published_figures_have_names_that_are_measured():
    kinds = {"STB": "stb", "RHD": "rhd", "CMU Panoptic hands": "panoptic"}
    for dataset, kind in (kinds | dict.fromkeys(("Dexter+Object", "EgoDexter"), "dexter")).items():
        protocol = PROTOCOLS[kind]
        assert {curve.alignment for curve in published_on(dataset).curves} <= set(protocol.alignments())
        known = {(f.alignment, f"AUC {f.range_mm[0]}-{f.range_mm[1]} mm") for f in protocol.figures if f.range_mm}
        if protocol.in_pixels:
            known.add((IN_PIXELS, f"AUC 0-{protocol.in_pixels:g} px"))
        told = {(result.alignment, name) for result in published_on(dataset).results for name in result.figures}
        assert told and told <= known
    dexter = published_on("Dexter+Object")
    absolute = [result for result in dexter.results if result.alignment not in (IN_PIXELS, TIPS_ALIGNED)]
    listed = [(curve.label, curve.alignment) for curve in dexter.curves]
    for label, alignment in listed + [(result.method, result.alignment) for result in absolute]:
        assert alignment == ("absolute, error of depth left out" if "depth left out" in label else "absolute")
    for dataset in ("Dexter+Object", "EgoDexter"):
        names = [result.method.partition(", raw") for result in published_on(f"{dataset}-corrected").results]
        raw = [name for name, mark, _ in names if mark]
        assert raw == [result.method for result in published_on(dataset).results]
        assert all("rebuilt by Meng" in name for name, mark, _ in names if not mark)
    assert set(metrics.ALIGNMENTS) >= {curve.alignment for curve in published_on("STB").curves}


def test_an_earlier_report_is_replaced_and_said_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluation, "load_predictor", lambda weights: Predictor(Upright()))
    source, folder = write_photo_set(tmp_path / "set", 2), tmp_path / "report"
    arguments = ["test", "--i", str(source), "--report", str(folder)]
    assert main(arguments) == 0 and "replaced" not in capsys.readouterr().err
    (folder / "report.md").write_text("old")
    assert main(arguments) == 0
    told = [f"regnet: {folder / name} exists and is replaced" for name in FILES]
    assert capsys.readouterr().err.splitlines() == told
    assert (folder / "report.md").read_text().startswith("# set: 2 hands")


def test_what_hinders_a_report_is_told_before_measuring(tmp_path, monkeypatch, capsys):
    source = write_photo_set(tmp_path / "set", 2)
    assert main(["test", "--i", str(source), "--report", str(tmp_path / "none" / "report")]) == 1
    assert capsys.readouterr().err == f"regnet: {tmp_path / 'none'}: no such folder\n"
    assert main(["test", "--i", str(source / "images"), "--report", str(tmp_path / "report")]) == 1
    assert "holds no labels" in capsys.readouterr().err
    monkeypatch.setattr(report_plot, "find_spec", lambda name: None)
    assert main(["test", "--i", str(source), "--report", str(tmp_path / "report")]) == 1
    assert 'needs Matplotlib for its plot: pip install "ganerated-hands[train]"' in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


def test_outputs_that_cannot_be_written_are_told_before_measuring(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluation, "load_predictor", None)  # not even the weights are looked at
    source = write_photo_set(tmp_path / "set", 2)
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "pck.png").mkdir()
    for option, name, words in (
        ("--json", "folder", "folder: cannot be written (Is a directory)"),
        ("--json", "none/f.json", "none: no such folder"),
        ("--output", "folder", "folder: cannot be written as a picture; end it in .jpg or .png"),
        ("--output", "sheet.txt", "sheet.txt: cannot be written as a picture"),
        ("--report", "file", "file: not a folder"),
        ("--report", "report", "pck.png: cannot be written (Is a directory)"),
    ):
        assert main(["test", "--i", str(source), option, str(tmp_path / name)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("regnet: ") and words in line
    assert {path.name for path in tmp_path.iterdir()} == {"set", "file", "folder", "report"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_disk_that_is_full_in_the_end_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluation, "load_predictor", lambda weights: Predictor(Upright()))
    path = tmp_path / "figures.json"
    path.symlink_to("/dev/full")
    assert main(["test", "--i", str(write_photo_set(tmp_path / "set", 2)), "--json", str(path)]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"regnet: {path}: cannot be written (No space left on device)"
