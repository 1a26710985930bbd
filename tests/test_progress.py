"""What a run is judged by: a network that knows the answers scores full marks, one that does not scores none."""

import json

import numpy as np
from tests_data import write_photo_set

from handpose.heatmap import cells_from_px, gaussian_heatmaps
from handpose.training.run_dir import RunDir
from regnet import progress


def held_out_set(folder):
    """A photo set whose people are all held out."""
    write_photo_set(folder, 4)
    labels = json.loads((folder / "pseudo_labels.json").read_text())
    for name in list(labels):
        (folder / "images" / name).rename(folder / "images" / f"5-{name}")
        labels[f"5-{name}"] = labels.pop(name)
    (folder / "pseudo_labels.json").write_text(json.dumps(labels))
    return folder


def test_knowing_the_answers_is_the_best_score(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "_RENDERED", 3)
    held_out = progress.HeldOut([str(held_out_set(tmp_path / "hands_dguzk")), "render"], 128)
    assert len(held_out.images) == 7 and held_out.n_photos == 4

    def knowing(images, training):
        maps = np.moveaxis(gaussian_heatmaps(cells_from_px(held_out.joints_px, 128)), 1, -1)
        padded = np.concatenate([np.zeros((4, 21, 3)), held_out.joints_rel])
        return {"heatmaps": maps, "joints_rel": padded}

    def guessing(images, training):
        return {"heatmaps": np.zeros((7, 32, 32, 21)), "joints_rel": np.random.default_rng(0).normal(size=(7, 21, 3))}

    folder, lines = RunDir.plan(tmp_path / "run", {}), []
    folder.begin()
    best = held_out.evaluate(knowing, folder, 1, lines.append)
    worst = held_out.evaluate(guessing, folder, 2, lines.append)
    assert best > 0.9 and worst < 0.2  # joints cut off by the crop's jitter cannot be told
    assert "held-out people" in lines[0] and "pa_mpjpe_mm 0.000" in lines[1]
    assert (folder.path / "held_out_000001.jpg").exists()

    def knowing_renders(images, training):
        answers = knowing(images, training)
        answers["heatmaps"][: held_out.n_photos] = 0
        return answers

    held_out.n_tests = held_out.n_photos  # as of datasets whose held-out side papers test on
    assert held_out.evaluate(knowing_renders, folder, 3, lines.append) > 0.9
    assert "test sets, by which nothing is chosen: pck@0.05 0.0" in lines[-1]
    assert held_out.judges and not progress.HeldOut([], 128).judges
    assert progress.HeldOut([], 128).evaluate(knowing, folder, 3, lines.append) == 0.0
