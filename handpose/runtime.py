"""Run an exported network: OpenVINO on a CPU, ONNX Runtime elsewhere, behind one call."""

from __future__ import annotations

import ctypes
import hashlib
import json
import sys
import threading
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from handpose.errors import HandposeError

Arrays = dict[str, np.ndarray]
Run = Callable[[np.ndarray], Arrays]
Loaded = tuple[Run, list, list[str], str]  # with the input's shape, the outputs' names and what it runs on

INPUT_NAME = "image"
INT8 = ".int8"  # before the ending of a file that computes so: it shares card and Keras weights with the one without
_ONE_BY_ONE = 2  # as few pictures as this run singly: a graph of fixed size is the fastest


class Network:
    """A loaded network: call it with pictures (N, S, S, 3) uint8 for its outputs by name, each with N first.

    input_size: S [px]. name, sha256: of the weights file. runtime: what it runs on.
    """

    def __init__(self, run: Run, input_size: int, output_names: tuple[str, ...], path: Path, sha256: str, runtime: str):
        self._run = run
        self.input_size = input_size
        self.output_names = output_names
        self.name = path.name
        self.sha256 = sha256
        self.runtime = runtime

    def __call__(self, images: np.ndarray) -> Arrays:
        return self._run(np.ascontiguousarray(images))


def load_network(
    path: str | Path, runtime: str = "auto", device: str = "auto", outputs: tuple[str, ...] = ()
) -> Network:
    """Load an ONNX file with the input `image` (N, S, S, 3) uint8.

    `runtime` is auto, openvino or onnx; `device` auto, cpu or gpu (CUDA, by ONNX Runtime; where there is none, a line on
    stderr, one for all networks, says so and the CPU serves). A checksum that a .json beside the file names must fit. Raises
    HandposeError where the file or the runtime is missing, the runtime cannot use the device, the file is altered, or the network
    lacks one of `outputs`.
    """
    path = Path(path)
    content, sha256 = read_weights(path)
    chosen = _choose(runtime, device)
    try:
        run, shape, names, used = {"openvino": _openvino, "onnx": _onnx_cpu, "cuda": _onnx_cuda}[chosen](content)
    except HandposeError:
        raise
    except Exception as error:  # both libraries raise their own kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise HandposeError(f"{path}: not a network that {chosen} can run ({reason})") from error
    if used != chosen:
        _say_there_is_no_gpu()
    if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3 or not isinstance(shape[1], int):
        raise HandposeError(f"{path}: expected an input {INPUT_NAME} of (N, S, S, 3), found {tuple(shape)}")
    missing = set(outputs) - set(names)
    if missing:
        raise HandposeError(
            f"{path}: weights of another network: expected the outputs {sorted(outputs)}, found {sorted(names)}"
        )
    return Network(run, shape[1], tuple(names), path, sha256, used)


def read_weights(path: Path) -> tuple[bytes, str]:
    """Read a weights file and its SHA-256.

    Raises HandposeError where it cannot be read, or where a card beside it (its name with .json) gives it another SHA-256.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise HandposeError(f"{path}: the weights cannot be read ({error.strerror})") from error
    sha256 = hashlib.sha256(content).hexdigest()
    card = path.with_name(f"{path.stem.removesuffix('.weights').removesuffix(INT8)}.json")
    try:
        wanted = json.loads(card.read_text()).get("sha256", {}).get(path.name)
    except FileNotFoundError:
        wanted = None
    except (OSError, ValueError, AttributeError) as error:
        raise HandposeError(f"{card}: not a card of weights ({error})") from error
    if wanted and wanted != sha256:
        raise HandposeError(
            f"{path}: the weights were altered: expected SHA-256 {str(wanted)[:12]}..., found {sha256[:12]}..."
        )
    return content, sha256


def _choose(runtime: str, device: str) -> str:
    """Decide between "openvino", "onnx" and "cuda"."""
    if runtime not in ("auto", "openvino", "onnx"):
        raise HandposeError(f"the runtime of an ONNX file is auto, openvino or onnx, not {runtime}")
    if device == "gpu" and runtime == "openvino":
        raise HandposeError("OpenVINO runs on the CPU here: for --device gpu choose --runtime onnx or auto")
    if device != "cpu" and runtime != "openvino" and _has_cuda():
        return "cuda"
    if device == "gpu":
        _say_there_is_no_gpu()
    if runtime == "auto":
        return "openvino" if find_spec("openvino") else "onnx"
    package = {"openvino": "openvino", "onnx": "onnxruntime"}[runtime]
    if not find_spec(package):
        raise HandposeError(f"--runtime {runtime} needs the package {package}: pip install {package}")
    return runtime


@cache
def _say_there_is_no_gpu() -> None:
    """Say it once, however many networks are loaded."""
    how = "pip install --force-reinstall --no-deps onnxruntime-gpu"  # which lies in the folder of the one for CPUs
    print(f"no CUDA GPU that ONNX Runtime can use: running on the CPU ({how})", file=sys.stderr)


def _has_cuda() -> bool:
    """Ask the driver first: that costs no import where there is no GPU."""
    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            if ctypes.CDLL(name).cuInit(0) == 0:
                break
        except OSError:
            continue
    else:
        return False
    if not find_spec("onnxruntime"):
        return False
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


@cache
def openvino_core() -> Any:
    """Give the one OpenVINO core of this process, which is never freed.

    Each sets up a stack for signals and puts the one before it back when it goes. Where several came and went, that was a freed
    one, and the next Ctrl-C crashed the process.
    """
    import openvino

    core = openvino.Core()
    core.set_property({"ENABLE_MMAP": False})  # a file may be moved or replaced while its network runs
    return core


def _openvino(content: bytes) -> Loaded:
    core = openvino_core()
    model = core.read_model(content)
    (entry,) = model.inputs
    shape = [d.get_length() if d.is_static else None for d in entry.partial_shape]
    names = [output.any_name for output in model.outputs]
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    fixed = model.clone()
    fixed.reshape([1, *shape[1:]])
    request = core.compile_model(fixed, "CPU", settings).create_infer_request()
    fed = request.get_input_tensor().data
    many, alone = None, threading.Lock()  # trackers of several cameras may share a network

    def look(image: np.ndarray) -> list[np.ndarray]:
        fed[0] = image
        return [output.copy() for output in request.infer(share_inputs=True, share_outputs=True).values()]

    def run(images: np.ndarray) -> Arrays:
        nonlocal many
        with alone:
            if len(images) == 1:
                return dict(zip(names, look(images[0]), strict=True))
            if len(images) <= _ONE_BY_ONE:
                rows = zip(*map(look, images), strict=True)
                return {name: np.concatenate(parts) for name, parts in zip(names, rows, strict=True)}
            many = many or core.compile_model(model, "CPU", settings)
            return dict(zip(names, many(images).values(), strict=True))

    return run, shape, names, "openvino"


def _onnx_cpu(content: bytes) -> Loaded:
    return _onnx(content, ["CPUExecutionProvider"])


def _onnx_cuda(content: bytes) -> Loaded:
    return _onnx(content, ["CUDAExecutionProvider", "CPUExecutionProvider"])


def _onnx(content: bytes, providers: list[str]) -> Loaded:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # its warnings are about its own optimiser
    if "CUDAExecutionProvider" in providers:
        # It computes int8 files in float32: let their weights widen once, not each time.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(content, options, providers=providers)
    (entry,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]

    def run(images: np.ndarray) -> Arrays:
        return dict(zip(names, session.run(names, {entry.name: images}), strict=True))

    used = "cuda" if "CUDAExecutionProvider" in session.get_providers() else "onnx"  # it may fail to start
    return run, [d if isinstance(d, int) else None for d in entry.shape], names, used
