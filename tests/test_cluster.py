"""On a cluster of two workers nothing is lost and nothing done twice, though one of them is killed on the way."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from test_dataset_crops import write_synth_hands
from test_render_cli import digests
from test_render_cli import run as render
from tests_data import made_a_pipe, wait_for, write_photo_set

from geocongan import translate
from geocongan.cli import main as geocongan
from handpose.atomic import unfinished
from handpose.cluster import map_jobs
from handpose.errors import HandposeError
from regnet.shards import MANIFEST, Shards

ray = pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"
)

sys.path.append(str(Path(__file__).resolve().parents[1] / "datasets"))
import prepare


@pytest.fixture(scope="module")
def address():
    """A cluster of this machine with two workers, for this file alone."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # workers find the modules of tests too
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
        yield cluster.address
        cluster.shutdown()


def busy_workers() -> list[int]:
    """The processes that do a job at this moment: Ray names them after it."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if process.read_bytes().startswith(b"ray::_begin"):
                found.append(int(process.parent.name))
        except OSError:  # gone meanwhile
            continue
    return found


def in_background(function):
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def kill_who_waits(stuck, finished):
    """Once all else is `finished`, kill the worker that waits for a `stuck` picture, (pipe, where the picture is kept), and free it."""
    picture, kept = stuck
    wait_for(finished, 120)
    (waiting,) = wait_for(busy_workers, 120)
    os.replace(kept, picture)
    os.kill(waiting, signal.SIGKILL)


def test_a_cluster_that_is_not_there_is_told(tmp_path):
    with pytest.raises(HandposeError, match="no Ray cluster answers"):
        list(map_jobs(str, range(2), "auto"))
    with pytest.raises(HandposeError, match="--workers is for a cluster"):
        map_jobs(str, range(2), None, 2)
    with pytest.raises(HandposeError, match="must be 1 or more"):
        map_jobs(str, range(2), "local", 0)
    assert list(map_jobs(str, range(2), None)) == [(0, "0"), (1, "1")]


def test_a_killed_workers_job_is_begun_anew_and_every_result_comes_once(address, tmp_path, capfd):
    def square(job):
        import os
        from pathlib import Path

        begun = Path(tmp_path) / f"{job}-{os.getpid()}"
        begun.touch()
        while job == 3 and len(list(begun.parent.glob("3-*"))) < 2:
            time.sleep(0.02)
        return job * job

    results = []
    for job, result in map_jobs(square, range(8), address, workers=2):
        results.append((job, result))
        if len(results) == 7:
            (blocked,) = wait_for(lambda: list(tmp_path.glob("3-*")), 120)  # its worker may still be starting
            os.kill(int(blocked.name[2:]), signal.SIGKILL)
    assert sorted(results) == [(job, job * job) for job in range(8)]
    assert len(list(tmp_path.iterdir())) == 9, "only the job of the killed worker is begun twice"
    assert capfd.readouterr().err.count("a worker died: its job is begun anew") == 1


def test_what_a_job_raises_is_told_and_a_deadly_job_ends(address):
    def broken(job):
        raise HandposeError(f"{job}.png: not readable")

    def deadly(job):
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(HandposeError, match=r"^0\.png: not readable$"):
        list(map_jobs(broken, range(2), address, 1))
    with pytest.raises(HandposeError, match="workers die over one job"):
        list(map_jobs(deadly, range(2), address, 1))


@pytest.mark.skipif(not Path("/proc/self/cmdline").is_file(), reason="tells the workers by /proc")
def test_shards_prepared_on_a_cluster_are_whole_whoever_is_killed(address, tmp_path):
    """One picture is a pipe that nobody fills: its worker waits there, while the other one does the rest."""
    folder, out = write_synth_hands(tmp_path / "s", 4), tmp_path / "o"
    stuck = made_a_pipe(sorted(folder.rglob("*_color.png"))[2])
    thread = in_background(lambda: kill_who_waits(stuck, lambda: len(list(out.glob("*.arrayrecord"))) == 3))
    assert prepare.main(["--i", str(folder), "--o", str(out), "--per-shard", "1", "--address", address]) == 0
    thread.join()
    shards = Shards(out)
    assert sorted(shards.origin(i) for i in range(len(shards))) == [(0, i) for i in range(4)]
    assert {path.suffix for path in out.iterdir() if path.name != MANIFEST} == {".arrayrecord"}


def test_the_command_prepares_shards_on_a_cluster_that_it_starts_here(tmp_path):
    """As a process of its own: what Ray's workers import under the script's name must be found by them, too."""
    photos, out = write_photo_set(tmp_path / "photos", 5), tmp_path / "o"
    command = [sys.executable, prepare.__file__, "--i", str(photos), "--o", str(out), "--per-shard", "2"]
    command += ["--address", "local", "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"{out}: 5 hands in 3 shards" in done.stdout
    shards = Shards(out)
    assert sorted(shards.origin(i) for i in range(len(shards))) == [(0, i) for i in range(5)]


@pytest.mark.skipif(not Path("/proc/self/cmdline").is_file(), reason="tells the workers by /proc")
def test_pictures_rendered_on_a_cluster_are_those_rendered_here_whoever_is_killed(address, tmp_path, capfd):
    thread = in_background(lambda: os.kill(wait_for(busy_workers, 120)[0], signal.SIGKILL))
    assert render("--n", 3, "--o", tmp_path / "there", "--seed", 8, "--address", address) == 0
    thread.join()
    assert "a worker died" in capfd.readouterr().err
    unfinished(tmp_path / "there" / "seq01" / "picture.png").touch()  # as of a worker killed while it wrote
    assert render("--n", 3, "--o", tmp_path / "there", "--seed", 8) == 0
    assert render("--n", 3, "--o", tmp_path / "here", "--seed", 8) == 0
    assert digests(tmp_path / "there") == digests(tmp_path / "here")


@pytest.mark.skipif(not Path("/proc/self/cmdline").is_file(), reason="tells the workers by /proc")
def test_hands_translated_on_a_cluster_are_those_translated_here_whoever_is_killed(
    address, tmp_path, monkeypatch, capfd
):
    """Of four frames in two jobs the third is stuck: its worker is killed when the other job is done."""
    monkeypatch.setattr(translate, "_BATCH", 2)
    folder, there, here = write_synth_hands(tmp_path / "s", 4), tmp_path / "there", tmp_path / "here"
    stuck = made_a_pipe(sorted(folder.rglob("*_color.png"))[2])
    thread = in_background(lambda: kill_who_waits(stuck, lambda: len(list(there.rglob("*_global.txt"))) == 2))
    command = ["translate", "--i", str(folder), "--size", "128", "--o"]
    assert geocongan([*command, str(there), "--address", address, "--workers", "2"]) == 0
    thread.join()
    assert capfd.readouterr().err.count("a worker died: its job is begun anew") == 1
    assert geocongan([*command, str(here)]) == 0
    assert digests(there) == digests(here) and len(digests(here)) == 4 * 6 + 1  # and the settings
