"""Running ONNX files: both runtimes agree, batches are rows, broken weights are told in one line."""

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime
import pytest

from handpose import runtime
from handpose.errors import HandposeError
from handpose.runtime import load_network

SIZE = 8
RUNTIMES = ["openvino", "onnx"]


def small_network(path, channels=3):
    """Means over the picture (N, C) and the picture in floats with its axes turned."""
    helper, kind = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=kind.FLOAT),
        helper.make_node("Transpose", ["floats"], ["maps"], perm=[0, 3, 1, 2]),
        helper.make_node("ReduceMean", ["maps"], ["means"], axes=[2, 3], keepdims=0),
    ]
    entry = helper.make_tensor_value_info("image", kind.UINT8, ["n", SIZE, SIZE, channels])
    exits = [
        helper.make_tensor_value_info("maps", kind.FLOAT, ["n", channels, SIZE, SIZE]),
        helper.make_tensor_value_info("means", kind.FLOAT, ["n", channels]),
    ]
    graph = helper.make_graph(nodes, "small", [entry], exits)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("kind", RUNTIMES)
@pytest.mark.parametrize("n", [1, 2, 5])
def test_outputs_by_name_for_any_number_of_pictures(tmp_path, kind, n):
    network = load_network(small_network(tmp_path / "n.onnx"), kind, "cpu")
    assert (network.input_size, network.name, network.runtime) == (SIZE, "n.onnx", kind)
    images = np.random.default_rng(n).integers(0, 256, (n, SIZE, SIZE, 3), dtype=np.uint8)
    outputs = network(images[:, :, ::-1])
    assert set(outputs) == {"maps", "means"}
    np.testing.assert_array_equal(outputs["maps"], np.moveaxis(images[:, :, ::-1], -1, 1))
    np.testing.assert_allclose(outputs["means"], images.mean((1, 2)), rtol=1e-5)


def test_one_answer_does_not_overwrite_the_one_before(tmp_path):
    network = load_network(small_network(tmp_path / "n.onnx"), "auto", "cpu")
    black, white = np.zeros((1, SIZE, SIZE, 3), np.uint8), np.full((1, SIZE, SIZE, 3), 255, np.uint8)
    first = network(black)
    network(white)
    assert not first["maps"].any()


@pytest.mark.parametrize("kind", RUNTIMES)
def test_threads_may_share_a_network(tmp_path, kind):
    """Trackers of several cameras do: each gets the answer to its own picture."""
    network = load_network(small_network(tmp_path / "small.onnx"), kind)
    wrong = []

    def ask(value):
        pictures = [np.full((n, SIZE, SIZE, 3), value, np.uint8) for n in (1, 2, 9)]
        for turn in range(600):
            if not (network(pictures[turn % 3])["means"] == value).all():
                wrong.append(value)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(ask, (10, 20, 30)))
    assert not wrong


def test_checksum_beside_the_weights_must_fit(tmp_path):
    path = small_network(tmp_path / "n.onnx")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "n.json").write_text(json.dumps({"sha256": {"n.onnx": digest}}))
    assert load_network(path, "onnx", "cpu").sha256 == digest
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(HandposeError, match="altered: expected SHA-256 " + digest[:12]):
        load_network(path, "onnx", "cpu")
    (tmp_path / "n.json").write_text(json.dumps({"sha256": {"n.onnx": 7}}))
    with pytest.raises(HandposeError, match="altered: expected SHA-256 7"):
        load_network(path, "onnx", "cpu")


def test_keras_weights_share_the_card_of_the_exported_ones(tmp_path):
    path = tmp_path / "n.weights.h5"
    path.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    (tmp_path / "n.json").write_text(json.dumps({"sha256": {path.name: digest}}))
    assert runtime.read_weights(path) == (b"weights", digest)
    path.write_bytes(b"others")
    with pytest.raises(HandposeError, match=rf"n.weights.h5: the weights were altered: expected SHA-256 {digest[:12]}"):
        runtime.read_weights(path)


@pytest.mark.parametrize("kind", RUNTIMES)
def test_what_is_no_network_is_refused_in_one_line(tmp_path, kind):
    def message(path, **options):
        with pytest.raises(HandposeError) as caught:
            load_network(path, kind, "cpu", **options)
        assert "\n" not in str(caught.value) and path.name in str(caught.value)
        return str(caught.value)

    assert "cannot be read" in message(tmp_path / "none.onnx")
    (tmp_path / "torn.onnx").write_bytes(b"\x08\x08nonsense")
    assert "not a network" in message(tmp_path / "torn.onnx")
    assert "(N, S, S, 3)" in message(small_network(tmp_path / "grey.onnx", channels=1))
    assert "expected the outputs ['centre']" in message(small_network(tmp_path / "n.onnx"), outputs=("centre",))


def test_unknown_runtime_and_missing_gpu(tmp_path, capsys, monkeypatch):
    path = small_network(tmp_path / "n.onnx")
    with pytest.raises(HandposeError, match="auto, openvino or onnx"):
        load_network(path, "tpu", "cpu")
    with pytest.raises(HandposeError, match="OpenVINO runs on the CPU here: for --device gpu choose"):
        load_network(path, "openvino", "gpu")
    monkeypatch.setattr(runtime, "_has_cuda", lambda: False)
    runtime._say_there_is_no_gpu.cache_clear()
    networks = [load_network(path, "auto", "gpu") for _ in range(2)]
    assert capsys.readouterr().err.count("\n") == 1
    assert all(network.runtime in RUNTIMES for network in networks)


@pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider' is not in available:UserWarning")
def test_a_cuda_that_does_not_start_is_not_called_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(runtime, "_has_cuda", lambda: True)
    runtime._say_there_is_no_gpu.cache_clear()
    network = load_network(small_network(tmp_path / "n.onnx"), "auto", "auto")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("CUDA may well start here")
    assert network.runtime == "onnx"
    assert "running on the CPU" in capsys.readouterr().err


def test_ctrl_c_after_networks_have_come_and_gone_is_no_crash(tmp_path):
    """OpenVINO's cores move the stack on which signals are handled: it has to be one that is still there."""
    path = small_network(tmp_path / "n.onnx")
    script = f"""
import signal
from handpose.runtime import load_network
networks = [load_network({str(path)!r}, "openvino", "cpu") for _ in range(3)]
while networks:
    del networks[0]
heard = []
signal.signal(signal.SIGINT, lambda *_: heard.append(1))
signal.raise_signal(signal.SIGINT)
print(heard)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[1]"), done.stderr
