"""Folders of output: taken when empty, gone on with by the same settings, refused in one line otherwise."""

import pytest

from handpose.atomic import unfinished
from handpose.claim import claim
from handpose.errors import HandposeError

SETTINGS = {"seed": 1, "effects": ("noise", "blur"), "weights": None}


def test_the_same_settings_go_on_and_others_are_named(tmp_path):
    folder = tmp_path / "new" / "out"
    for _ in range(2):
        claim(folder, "work.json", SETTINGS)
    (folder / "picture.png").touch()
    killed = tmp_path / "killed"
    killed.mkdir()
    unfinished(killed / "work.json").touch()  # is no content
    claim(killed, "work.json", SETTINGS)
    claim(folder, "work.json", SETTINGS)
    with pytest.raises(HandposeError, match=r"out: begun with other settings \(seed, effects\); choose another --o"):
        claim(folder, "work.json", SETTINGS | {"seed": 2, "effects": ("noise",)})
    with pytest.raises(HandposeError, match=r"begun with other settings \(new, weights\)"):
        claim(folder, "work.json", {key: SETTINGS[key] for key in ("seed", "effects")} | {"new": None})
    claim(folder, "work.json", SETTINGS)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "picture.png").touch()
    with pytest.raises(HandposeError, match="not empty, and no work.json tells how it was begun"):
        claim(tmp_path, "work.json", SETTINGS)
    with pytest.raises(HandposeError, match="cannot be used"):
        claim(tmp_path / "picture.png", "work.json", SETTINGS)
    for content, words in (("{", "not readable"), ("[1]", "begun with other settings")):
        (tmp_path / "work.json").write_text(content)
        with pytest.raises(HandposeError, match=words):
            claim(tmp_path, "work.json", SETTINGS)
