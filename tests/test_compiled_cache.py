"""Numba's cache: nothing stale is used, and no folder that cannot be written ends an import."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from handpose import compiled_cache
from handpose.compiled_cache import COMPILED, use_own_cache

ROOT = Path(__file__).parents[1]
CONSTANTS = re.compile(r"^from ((?:handpose|regnet|tracker)[\w.]*) import .*\b[A-Z][A-Z0-9_]+\b", re.MULTILINE)


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys.modules["numba"].config, "CACHE_DIR", "")
    use_own_cache()
    return Path(os.environ["NUMBA_CACHE_DIR"])


def test_all_that_is_compiled_is_watched_with_the_constants_it_holds():
    sources = [path for folder in ("handpose", "regnet", "tracker") for path in (ROOT / folder).rglob("*.py")]
    compiled = [path for path in sources if re.search(r"^@njit", path.read_text(), re.MULTILINE)]
    named = {path.relative_to(ROOT).as_posix() for path in compiled}
    for path in compiled:
        named |= {f"{module.replace('.', '/')}.py" for module in CONSTANTS.findall(path.read_text())}
    assert named <= set(COMPILED) and all((ROOT / name).is_file() for name in COMPILED)


def test_what_was_compiled_goes_when_a_source_changes(own, tmp_path, monkeypatch):
    kept = own / "fit_1" / "solver.py311.nbi"
    kept.parent.mkdir()
    kept.write_bytes(b"code")
    for changed in (False, True):
        monkeypatch.delenv("NUMBA_CACHE_DIR")
        if changed:
            monkeypatch.setattr(compiled_cache, "_sources", lambda: "another time")
        use_own_cache()
        assert kept.exists() != changed


def test_the_users_own_folder_stays(monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/their/own")
    use_own_cache()
    assert os.environ["NUMBA_CACHE_DIR"] == "/their/own"


@pytest.fixture
def without_home(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what it gives where nobody knows the home
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="a temporary folder for each user")
def test_a_user_without_a_home_has_a_folder_of_their_own_in_the_temporary_one(without_home, tmp_path):
    for _ in range(2):
        (place,) = compiled_cache._places()
        assert place.parent == tmp_path and str(os.getuid()) in place.name
        assert place.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="a temporary folder for each user")
def test_what_another_user_may_have_put_there_is_left_alone(without_home, tmp_path, monkeypatch):
    (place,) = compiled_cache._places()
    place.chmod(0o770)
    assert list(compiled_cache._places()) == [], "others may write there"
    place.chmod(0o700)
    place.rename(tmp_path / "elsewhere")
    place.symlink_to("elsewhere")
    assert list(compiled_cache._places()) == []
    place.unlink()
    place.touch()
    assert list(compiled_cache._places()) == []
    stranger = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: stranger)
    (tmp_path / f"{compiled_cache._NAME}-{stranger}").mkdir(0o700)
    assert list(compiled_cache._places()) == []


def test_without_a_home_the_temporary_folder_serves(tmp_path):
    """As in a container that runs as a user without one."""
    (tmp_path / "home").write_text("no folder")
    environment = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    environment |= {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    code = "import os, handpose.lens; print(os.environ['NUMBA_CACHE_DIR'])"
    said = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert Path(said.stdout.strip()).is_relative_to(tmp_path)
