"""Files of predictions for FreiHAND: F-scores where both sides have a mesh, and words where one has none."""

import json

import numpy as np
import pytest
import test_freihand
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation
from test_measure import similarity

from handpose.data import freihand
from regnet.cli import main

RNG = np.random.default_rng(4)


@pytest.fixture
def release(tmp_path):
    """An evaluation set of three hands with meshes of 60 vertices: its folder, joints and vertices [m]."""
    xyz = test_freihand.write_set(tmp_path / "set", "evaluation", 3, 1)
    vertices = xyz[:, RNG.integers(0, 21, 60)] + RNG.normal(0, 0.004, (3, 60, 3))
    (tmp_path / "set" / "evaluation_verts.json").write_text(json.dumps(vertices.tolist()))
    return tmp_path / "set", xyz, vertices


def scored(folder, joints, vertices, code=0):
    predictions, figures = folder.parent / "pred.json", folder.parent / "figures.json"
    predictions.write_text(json.dumps([joints.tolist(), vertices if isinstance(vertices, list) else vertices.tolist()]))
    assert main(["test", "--i", str(folder), "--predictions", str(predictions), "--json", str(figures)]) == code
    return json.loads(figures.read_text()) if not code else None


def test_f_scores_are_those_of_all_pairs_after_a_similarity(release, capsys):
    folder, xyz, vertices = release
    joints, mesh = xyz + RNG.normal(0, 0.006, xyz.shape), 1.1 * vertices + RNG.normal(0, 0.006, vertices.shape) + 0.03
    figures = scored(folder, joints, mesh)
    for limit in (5, 15):
        shares = []
        for predicted, truth in zip(1000 * mesh, 1000 * vertices):
            apart = cdist(similarity(predicted, truth), truth)
            precision, recall = (apart.min(1) < limit).mean(), (apart.min(0) < limit).mean()
            shares.append(2 * precision * recall / (precision + recall))
        assert figures[f"f_{limit}_mm"] == pytest.approx(np.mean(shares), abs=1e-6)
    assert 0.1 < figures["f_5_mm"] < figures["f_15_mm"] <= 1
    left = [similarity(1000 * p, 1000 * t) - 1000 * t for p, t in zip(joints, xyz)]
    assert figures["pa_mpjpe_mm"] == pytest.approx(np.linalg.norm(left, axis=-1).mean(), abs=1e-6)
    printed = capsys.readouterr().out
    assert (
        "3 hands of FreiHAND's evaluation set" in printed and "F@5 mm 0." in printed and "60 vertices; n=3" in printed
    )


def test_vertices_are_as_far_off_as_scipy_tells_after_a_similarity(release):
    """Each mesh is aligned by its own vertices, not by the joints, and turned as well as moved."""
    folder, xyz, vertices = release
    turn = Rotation.from_rotvec((0.4, -0.2, 0.3)).as_matrix()
    mesh = 0.9 * vertices @ turn + RNG.normal(0, 0.008, vertices.shape) + (0.02, 0, -0.1)
    figures = scored(folder, xyz + RNG.normal(0, 0.02, xyz.shape), mesh)
    left = [similarity(1000 * p, 1000 * t) - 1000 * t for p, t in zip(mesh, vertices)]
    expected = np.mean([np.hypot.reduce(hand, axis=-1) for hand in left])
    assert figures["pa_vertices_mm"] == pytest.approx(expected, abs=1e-6) and expected > 5
    assert figures["pa_vertices_mm_alignment"] == "aligned by a similarity"


def test_without_a_mesh_there_are_no_f_scores(release, capsys):
    folder, xyz, vertices = release
    figures = scored(folder, xyz, [])
    assert figures["pa_mpjpe_mm"] < 1e-6 and not [key for key in figures if key.startswith("f_")]
    assert "no F-scores: " in capsys.readouterr().out and "joints and no mesh" in figures["notes"]
    (folder / "evaluation_verts.json").unlink()
    assert freihand.read_vertices(folder) is None
    figures = scored(folder, xyz, vertices)
    assert "no evaluation_verts.json" in figures["notes"] and "f_5_mm" not in figures


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1, 2, 3]", "expected two lists, joints and vertices"),
        (json.dumps([np.zeros((2, 21, 3)).tolist(), []]), "joints are (2, 21, 3), expected (3, 21, 3)"),
        (json.dumps([np.zeros((3, 21, 3)).tolist(), np.zeros((3, 9, 3)).tolist()]), "expected (3, 60, 3)"),
        ("[[[1, 2], [3]], []]", "not a list of equal lists of numbers"),
        ("[[NaN], []]", "not all numbers are finite"),
        ("{", "not readable as JSON"),
    ],
)
def test_files_that_do_not_fit_are_named(release, content, words, capsys):
    folder, _, _ = release
    (folder.parent / "pred.json").write_text(content)
    assert main(["test", "--i", str(folder), "--predictions", str(folder.parent / "pred.json")]) == 1
    said = capsys.readouterr().err
    assert "pred.json: " in said and words in said and said.count("\n") == 1


def test_what_cannot_be_scored_is_told(release, tmp_path, capsys):
    folder, xyz, _ = release
    (folder / "evaluation_verts.json").write_text("[[1, 2]]")
    scored(folder, xyz, xyz, code=1)
    assert "evaluation_verts.json: expected N x V x 3" in capsys.readouterr().err
    (folder / "evaluation_xyz.json").unlink()
    scored(folder, xyz, [], code=1)
    assert "evaluation_xyz.json is missing" in capsys.readouterr().err
    words = ["test", "--i", str(folder), "--predictions", str(tmp_path / "pred.json"), "--n", "2"]
    assert main(words) == 1 and "of the others only --json" in capsys.readouterr().err
