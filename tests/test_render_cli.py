"""`handpose render`: the layout, the same bytes for the same seed, going on after a stop, and refusals."""

import argparse
import hashlib
import shutil
from contextlib import nullcontext

import numpy as np
import pytest
from test_synth_hands import depth_mm

from handpose.data import synth_hands
from handpose.errors import HandposeError
from handpose.synthesis import render


def run(*words):
    """Run the command as the command line would."""
    parser = argparse.ArgumentParser()
    render.add_arguments(parser)
    return render.run(parser.parse_args([str(word) for word in words]))


def digests(folder):
    return {f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.rglob("*.*")}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("render") / "out"
    assert run("--n", 3, "--o", folder, "--seed", 8) == 0
    return folder


def test_it_writes_the_layout_with_a_contact_sheet(rendered):
    assert (rendered / "contact_sheet.png").stat().st_size > 5000
    frames = synth_hands.read(rendered)
    assert len(frames) == 3
    for index in range(3):
        sample, depth = frames[index], depth_mm(frames.frames[index])
        assert sample.image.shape == (480, 640, 3)
        empty = sample.mask == 0
        assert 0.2 < empty.mean() < 0.995
        assert (sample.image[empty] == synth_hands.CHROMA).all()
        assert (sample.image[sample.mask == 255] != synth_hands.CHROMA).any(-1).mean() > 0.99
        low, high = sample.joints_px.min(0), sample.joints_px.max(0)
        assert (low > 0).all() and (high < (639, 479)).all()
        assert depth[depth > 0].min() > 100 and depth.max() < 2000


def test_joints_lie_in_the_hand_and_at_its_depth(rendered):
    frames = synth_hands.read(rendered)
    inside, behind = [], []
    for index in range(3):
        sample, depth = frames[index], depth_mm(frames.frames[index])
        columns, rows = np.round(sample.joints_px).astype(int).T
        inside += list(sample.mask[rows, columns] > 0)
        joints = sample.joints_mm - synth_hands.COLOUR_FROM_DEPTH_MM
        columns, rows = np.round(synth_hands.DEPTH_CAMERA.project(joints)).astype(int).T
        seen = depth[rows, columns]
        behind += list((joints[:, 2] - seen)[seen > 0])
    assert np.mean(inside) > 0.95
    assert np.quantile(behind, 0.05) > -12  # no joint before the skin
    assert np.median(behind) < 40


def test_the_same_seed_gives_the_same_bytes_also_after_a_stop(rendered, tmp_path, capsys):
    again = tmp_path / "again"
    assert run("--n", 3, "--o", again, "--seed", 8) == 0
    expected = digests(rendered)
    assert digests(again) == expected
    for ending in ("_joint_pos.txt", "_color.png", "_depth.png"):
        next(again.rglob(f"*1{ending}")).unlink()
    capsys.readouterr()
    assert run("--n", 3, "--o", again, "--seed", 8) == 0
    assert "2 of 3 pictures are there already" in capsys.readouterr().out
    assert digests(again) == expected


def test_another_seed_gives_other_hands(rendered):
    other = render.HandRenderer(9).frame(0)[0]
    assert (other != synth_hands.read(rendered)[0].image).any()


def test_it_refuses_what_it_would_overwrite(rendered, tmp_path):
    with pytest.raises(HandposeError, match="other settings"):
        run("--n", 3, "--o", rendered, "--seed", 9)
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(HandposeError, match="not empty"):
        run("--n", 1, "--o", tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_wrong_numbers_and_places_get_one_line(tmp_path):
    for words, told in {
        ("--n", 0): "--n must be 1 or more, not 0",
        ("--n", 1, "--workers", 0): "--workers must be 1 or more, not 0",
        ("--n", 1, "--workers", 2): "--workers is for a cluster",
    }.items():
        with pytest.raises(HandposeError, match=told):
            run(*words, "--o", tmp_path / "a")
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(HandposeError, match="cannot be used"):
        run("--n", 1, "--o", tmp_path / "file")


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    frame = render.HandRenderer.frame

    def interrupted(self, index):
        if index == 1:
            raise KeyboardInterrupt
        return frame(self, index)

    monkeypatch.setattr(render.HandRenderer, "frame", interrupted)
    assert run("--n", 2, "--o", tmp_path / "out") == 0
    assert "stopped after 1 of 2; the same command goes on" in capsys.readouterr().out
    assert len(synth_hands.read(tmp_path / "out")) == 1


def test_a_hand_from_a_file(shared_data, tmp_path):
    mesh = shared_data / "meshes" / "webxr_hand" / "right.glb"
    assert run("--n", 2, "--o", tmp_path / "out", "--mesh", mesh) == 0
    frames = synth_hands.read(tmp_path / "out")
    lengths = [np.linalg.norm(frames[i].joints_mm[9] - frames[i].joints_mm[0]) for i in range(2)]
    np.testing.assert_allclose(lengths, 91.7, atol=0.1)


def test_it_goes_on_with_the_very_mesh_alone(shared_data, tmp_path):
    meshes, mesh = shared_data / "meshes" / "webxr_hand", tmp_path / "hand.glb"
    for side, told in (("left", None), ("left", None), ("right", r"begun with other settings \(mesh\)")):
        shutil.copy(meshes / f"{side}.glb", mesh)
        with pytest.raises(HandposeError, match=told) if told else nullcontext():
            run("--n", 1, "--o", tmp_path / "out", "--mesh", mesh)


def test_the_libhand_model_by_its_word(shared_data, tmp_path):
    """The word names no file, which is how the command line must leave it."""
    assert run("--n", 1, "--o", tmp_path / "out", "--mesh", "libhand") == 0
    skin = synth_hands.read(tmp_path / "out")[0]
    assert (skin.mask > 0).mean() > 0.01 and (shared_data / "meshes" / "libhand").is_dir()


def test_a_file_that_is_no_hand(tmp_path):
    (tmp_path / "mesh.glb").write_text("no")
    with pytest.raises(HandposeError, match=r"mesh\.glb"):
        run("--n", 2, "--o", tmp_path / "out", "--mesh", tmp_path / "mesh.glb")
    assert not (tmp_path / "out").exists()
