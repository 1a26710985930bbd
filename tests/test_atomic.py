"""Files are never half written, and several processes may write the same one."""

import os

import pytest
from tests_data import full_after

from handpose import atomic
from handpose.training.run_dir import RunDir


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    atomic.atomic_write(path, b"old")
    monkeypatch.setattr("handpose.atomic.os.replace", full_after(0))
    with pytest.raises(OSError, match="No space left"):
        atomic.atomic_write(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    monkeypatch.undo()
    atomic.atomic_write(path, b"new")
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


def test_processes_and_machines_write_under_names_of_their_own_and_leftovers_go(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "frame.png"
    path.parent.mkdir()
    own = atomic.unfinished(path)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    other = atomic.unfinished(path)
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    names = {own, other, atomic.unfinished(path)}
    assert len(names) == 3 and {name.parent for name in names} == {path.parent}
    for name in (path, *names):
        name.touch()
    atomic.clear_unfinished(tmp_path)
    assert list(path.parent.iterdir()) == [path]


def test_a_run_that_goes_on_drops_what_was_half_written(tmp_path):
    atomic.unfinished(tmp_path / "checkpoint.npz").touch()
    RunDir(tmp_path).rewind(0)
    assert not list(tmp_path.iterdir())
