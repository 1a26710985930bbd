"""Figures for programs: a file is whole or what it was before, and a device stays a device."""

import errno
import json
import os
from pathlib import Path

import pytest

from handpose import outputs
from handpose.errors import HandposeError
from handpose.outputs import write_json


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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_device_is_written_to_and_not_replaced(tmp_path):
    for device in ("null", "full"):
        (tmp_path / device).symlink_to(f"/dev/{device}")
    write_json(tmp_path / "null", {"n": 1})
    with pytest.raises(HandposeError, match=r"full: cannot be written \(No space left on device\)$"):
        write_json(tmp_path / "full", {"n": 1})
    assert all((tmp_path / device).is_char_device() for device in ("null", "full"))


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
