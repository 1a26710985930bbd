"""Two devices, or two processes, train as one device does with the same batches: losses, batch norm, clipping and optimiser agree."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_dataset_crops import write_synth_hands
from tests_data import write_photo_set

from handpose.errors import HandposeError
from handpose.training import distribute

SCRIPT = Path(__file__).with_name("distributed_curve.py")
BACKENDS = ("tensorflow", "jax")
QUICKLY_MADE = "--xla_backend_optimization_level=0"  # programs of few steps
TWO_DEVICES = f"--xla_force_host_platform_device_count=2 {QUICKLY_MADE}"
# `regnet train` of four steps on one CPU device, and on two, where it is stopped after three and goes on; one block for each stage
# compiles in a third of the time, a graph that is not made faster first in two thirds of that.
TRAIN = """
import os, signal, sys
if os.environ["KERAS_BACKEND"] == "tensorflow":
    import tensorflow as tf
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
from handpose.training.run_dir import RunDir
from regnet import cli, light

def log(self, step, **losses):
    logged(self, step, **losses)
    if self.path.name == "2" and step == 3:
        signal.raise_signal(signal.SIGINT)

logged, RunDir.log = RunDir.log, log
light.BLOCKS = (0, 0, 0, 0)
folder, *sources = sys.argv[1:]
for devices in "12":
    run = ["--devices", devices, "--o", f"{folder}/{devices}"]
    assert cli.main(["train", "--i", *sources, "--batch", "4", "--lr", "1e-4", "--steps", "4", *run]) == 0
assert cli.main(["train", "--resume", *run]) == 0
"""


def start(backend: str, devices: str, **environment: str) -> subprocess.Popen:
    if backend == "jax":
        pytest.importorskip("jax")
    root = str(SCRIPT.parents[1])
    whole = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": root} | environment
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), devices], env=whole, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def answer(process: subprocess.Popen) -> dict[str, list[dict]]:
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err[-2000:]
    return json.loads(out.splitlines()[-1])


def free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


def same(curves: list[dict], others: list[dict]) -> None:
    """Compare what SGD gave to float tolerance, and what Muon and half precision gave as far as these let two roundings agree."""
    (exact, *rough), (exact_other, *rough_other) = curves, others
    np.testing.assert_allclose(exact["rows"], exact_other["rows"], rtol=1e-5)
    np.testing.assert_allclose(exact["answer"], exact_other["answer"], rtol=1e-4, atol=1e-5)
    for curve, other in zip(rough, rough_other, strict=True):
        np.testing.assert_allclose(curve["rows"], other["rows"], rtol=2e-3)


@pytest.fixture(scope="module", params=BACKENDS)
def curves(request):
    """The backend, and the curves of one and of two CPU devices."""
    found = answer(start(request.param, "2", XLA_FLAGS=TWO_DEVICES))
    return request.param, found["1"], found["2"]


def test_two_devices_learn_as_one_does(curves):
    _, one, two = curves
    assert (one[0]["devices"], two[0]["devices"]) == (1, 2)
    same(two, one)
    assert all(curve["rows"][-1] != curve["rows"][0] for curve in one)


def test_half_precision_learns_what_single_does_from_gradients_too_small_for_it(curves):
    for exact, _, half in curves[1:]:
        np.testing.assert_allclose(half["rows"], exact["rows"], rtol=1e-2)


def test_two_processes_learn_as_one_does(curves):
    backend, one, _ = curves
    ports = [free_port(), free_port()]
    if backend == "jax":
        address = {"KERAS_DISTRIBUTION_JOB_ADDRESSES": f"127.0.0.1:{ports[0]}", "KERAS_DISTRIBUTION_NUM_PROCESSES": "2"}
        address["XLA_FLAGS"] = QUICKLY_MADE
        roles = [address | {"KERAS_DISTRIBUTION_PROCESS_ID": str(number)} for number in range(2)]
    else:
        cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
        task = [{"cluster": cluster, "task": {"type": "worker", "index": number}} for number in range(2)]
        roles = [{"TF_CONFIG": json.dumps(config)} for config in task]
    processes = [start(backend, "all", **role) for role in roles]
    try:
        first, second = (answer(process)["all"] for process in processes)
    finally:
        for process in processes:
            process.kill()
    same(first, one)
    assert second == first
    assert first[0]["devices"] == 2
    assert first[0]["agreed"] == second[0]["agreed"] == 7.0, "the first process' value holds"


@pytest.mark.parametrize("backend", ["tensorflow", pytest.param("jax", marks=pytest.mark.slow)])
def test_regnet_train_on_two_devices_learns_resumes_and_goes_on_as_on_one(backend, tmp_path):
    """The whole command: what a toy network has not is losses with an SVD, an optimiser's state to save, and an evaluation."""
    if backend == "jax":
        pytest.importorskip("jax")
    sources = [write_photo_set(tmp_path / "photos"), write_synth_hands(tmp_path / "green")]
    environment = os.environ | {
        "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2",
        "XLA_FLAGS": TWO_DEVICES,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(tmp_path), *map(str, sources)],
        cwd=SCRIPT.parents[1], env=environment, capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = (np.genfromtxt(tmp_path / devices / "losses.csv", delimiter=",", names=True) for devices in "12")
    assert one["step"].tolist() == [1, 2, 3, 4]
    assert "stopped at step 3" in done.stdout
    for name in set(one.dtype.names) - {"error_cells"}:  # whose peak jumps from cell to cell
        np.testing.assert_allclose(two[name], one[name], rtol=2e-3, err_msg=name)
    with np.load(tmp_path / "1" / "checkpoint.npz") as alone, np.load(tmp_path / "2" / "checkpoint.npz") as shared:
        names = [name for name in alone.files if name.startswith("optimizer")]  # what gradients have left there
        apart = [np.linalg.norm(shared[name] - alone[name]) / (np.linalg.norm(alone[name]) + 1e-9) for name in names]
    assert len(apart) > 25 and np.median(apart) < 0.1


@pytest.mark.parametrize(
    ("cluster", "task", "place"),
    [
        ({"worker": ["a:1", "b:1"]}, {"type": "worker", "index": 1}, (1, 2)),
        ({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, {"type": "chief", "index": 0}, (0, 3)),
        ({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, {"type": "worker", "index": 0}, (1, 3)),
        ({"chief": ["a:1"], "worker": ["b:1"]}, {"type": "worker", "index": 0}, (1, 2)),
        ({"worker": ["a:1"]}, {"type": "worker", "index": 0}, (0, 1)),
    ],
)
def test_a_chief_comes_before_the_workers(cluster, task, place):
    assert distribute._place_in_cluster(json.dumps({"cluster": cluster, "task": task})) == place


def test_without_a_cluster_a_process_is_alone():
    assert distribute._place_in_cluster("{}") == (0, 0)


def test_what_cannot_be_is_told_in_one_line(monkeypatch):
    with pytest.raises(HandposeError, match="--devices 9: there are only 1 here"), distribute.over("9"):
        pass
    with pytest.raises(HandposeError, match="must be a number or all, not 'two'"), distribute.over("two"):
        pass
    monkeypatch.setattr(distribute, "_share", distribute.Share(devices=3))
    with pytest.raises(HandposeError, match="--batch 32 cannot be shared evenly by 3 devices"):
        distribute.check_batch(32)
    distribute.check_batch(33)
