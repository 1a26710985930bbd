"""Figures for programs: a file is whole or what it was before, and a device stays a device."""

import errno
import json
import os
from pathlib import Path

import pytest

from handpose import outputs
from handpose.errors import HandposeError
from handpose.outputs import prepare_outputs, same_file, write_json


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "figures.json"
    path.write_text("of another run, and longer")
    write_json(path, {"error_mm": 1.5})
    assert path.read_text() == '{"error_mm": 1.5}\n'
    with pytest.raises(TypeError):
        write_json(path, {"error_mm": object()})
    assert json.loads(path.read_text()) == {"error_mm": 1.5}
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_link_leads_to_is_written(tmp_path):
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "link.json").symlink_to("real.json")
    write_json(tmp_path / "link.json", {"n": 2})
    assert (tmp_path / "link.json").is_symlink() and json.loads((tmp_path / "real.json").read_text()) == {"n": 2}


def test_a_link_to_a_file_that_is_still_to_be_written_stays(tmp_path):
    link = tmp_path / "link.json"
    link.symlink_to("new.json")
    prepare_outputs("tool", [link])
    assert list(tmp_path.iterdir()) == [link], "neither is the link gone nor an empty file left"
    write_json(link, {"n": 2})
    assert link.is_symlink() and json.loads((tmp_path / "new.json").read_text()) == {"n": 2}


def test_two_names_of_one_file_are_told(tmp_path, monkeypatch):
    first, other = tmp_path / "first.json", tmp_path / "other.json"
    assert same_file(first, tmp_path / "sub" / ".." / "first.json") and not same_file(first, other)
    first.touch()
    assert not same_file(first, other) and not same_file(other, first)
    (tmp_path / "hard.json").hardlink_to(first)
    (tmp_path / "soft.json").symlink_to("first.json")
    monkeypatch.chdir(tmp_path)
    assert all(same_file(first, Path(name)) for name in ("first.json", "hard.json", "soft.json"))
    other.touch()
    assert not same_file(first, other)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_device_is_written_to_and_not_replaced(tmp_path):
    for device in ("null", "full"):
        (tmp_path / device).symlink_to(f"/dev/{device}")
    write_json(tmp_path / "null", {"n": 1})
    with pytest.raises(HandposeError, match=r"full: cannot be written \(No space left on device\)$"):
        write_json(tmp_path / "full", {"n": 1})
    assert all((tmp_path / device).is_char_device() for device in ("null", "full"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_opened_before_the_work(tmp_path, capsys):
    """Its reader would take that for the end."""
    os.mkfifo(tmp_path / "pipe")
    prepare_outputs("tracker", [tmp_path / "pipe"])  # would wait here for a reader
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("number", [errno.EACCES, errno.EBUSY, errno.ENAMETOOLONG])
def test_a_file_in_a_folder_that_takes_no_other_is_written_over(tmp_path, monkeypatch, number):
    path = tmp_path / "figures.json"
    path.write_text("of another run, and longer")

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(outputs, "atomic_write", refuse)
    write_json(path, {"n": 1})
    assert path.read_text() == '{"n": 1}\n'


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "figures.json"
    path.write_text("{}")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(outputs, "atomic_write", full)
    with pytest.raises(HandposeError, match="No space left"):
        write_json(path, {"n": 1})
    assert path.read_text() == "{}"


def test_what_is_not_a_number_is_null(tmp_path):
    write_json(tmp_path / "f.json", {"pck": float("nan"), "curves": {"a": [1.0, float("nan")]}, "n": 2})
    assert (tmp_path / "f.json").read_text() == '{"pck": null, "curves": {"a": [1.0, null]}, "n": 2}\n'
