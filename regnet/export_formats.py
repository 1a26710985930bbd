"""The file formats of an exported network: each is written by its maintained converter, and run so that it can be checked and timed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from handpose.errors import HandposeError
from handpose.runtime import openvino_core
from handpose.training.exported import tensorflow, to_onnx, write_onnx

Arrays = dict[str, np.ndarray]
Run = Callable[[np.ndarray], Arrays]


class Served:
    """A Keras model of uint8 pictures (N, S, S, 3), converted once for all the files that are made of it; `scratch` is an empty folder."""

    def __init__(self, model, scratch: Path):
        self.model, self.scratch = model, scratch

    @cached_property
    def onnx(self):
        """The same as an ONNX model; whoever writes it takes a copy."""
        return to_onnx(self.model, self.model.input_shape[1])

    @cached_property
    def saved_model(self) -> Path:
        """The same as a SavedModel."""
        tensorflow()
        folder = self.scratch / "saved_model"
        self.model.export(folder, format="tf_saved_model", verbose=False)
        return folder

    def onnx_file(self, card: dict[str, Any], calibration: np.ndarray | None) -> Path:
        """The same as an ONNX file, in int8 where there are pictures to calibrate it by."""
        path = self.scratch / ("float32.onnx" if calibration is None else "int8.onnx")
        if not path.exists():
            weights = self.model.get_weights()
            write_onnx(deepcopy(self.onnx), path, card, weights=weights, halved=calibration is None)
            if calibration is not None:
                from regnet.quantise import quantise_onnx

                quantise_onnx(path, calibration)
        return path


@dataclass(frozen=True)
class Format:
    """A file format by its ending: `write(served, path, card, calibration)` writes a file, `load(path)` gives what runs it.

    `calibration` (N, S, S, 3) uint8 or None: with pictures the file computes in int8, where the format `can_quantise`.
    """

    suffix: str
    write: Callable[[Served, Path, dict[str, Any], np.ndarray | None], None]
    load: Callable[[Path], Run]
    can_quantise: bool = False


def _write_onnx(served: Served, path: Path, card: dict[str, Any], calibration: np.ndarray | None) -> None:
    shutil.copyfile(served.onnx_file(card, calibration), path)


def _write_openvino(served: Served, path: Path, card: dict[str, Any], calibration: np.ndarray | None) -> None:
    import openvino

    model = openvino.convert_model(served.onnx_file(card, calibration))
    openvino.save_model(model, path, compress_to_fp16=False)


def _write_saved_model(served: Served, path: Path, card: dict[str, Any], calibration: np.ndarray | None) -> None:
    shutil.copytree(served.saved_model, path)


def _write_litert(served: Served, path: Path, card: dict[str, Any], calibration: np.ndarray | None) -> None:
    tf = tensorflow()
    path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(served.saved_model)).convert())


def load_onnx(path: Path) -> Run:
    """Load an ONNX file into ONNX Runtime, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda images: dict(zip(names, session.run(None, {"image": images}), strict=True))


def load_openvino(path: Path, precision: str = "f32") -> Run:
    """Load a file into OpenVINO, on the CPU; `precision` f32 or bf16 is what it computes in."""
    core = openvino_core()
    model = core.read_model(path)
    model.reshape([1, *(size.get_length() for size in list(model.input().partial_shape)[1:])])
    names = [output.any_name for output in model.outputs]
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return _one_by_one(lambda image: dict(zip(names, map(np.array, request.infer([image]).values()), strict=True)))


def _load_litert(path: Path) -> Run:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise HandposeError('LiteRT files need ai-edge-litert: pip install "ganerated-hands[train]"') from error

    interpreter = Interpreter(model_content=path.read_bytes(), num_threads=os.cpu_count())
    runner = interpreter.get_signature_runner()
    return _one_by_one(lambda image: runner(image=image))


def _load_saved_model(path: Path) -> Run:
    tf = tensorflow()
    loaded = tf.saved_model.load(str(path))  # a signature does not keep the weights alive
    return lambda images: {
        name: value.numpy() for name, value in loaded.signatures["serving_default"](image=tf.constant(images)).items()
    }


def _one_by_one(run: Run) -> Run:
    """Run pictures singly: a graph of fixed size is the fastest."""

    def run_all(images: np.ndarray) -> Arrays:
        answers = [run(images[i : i + 1]) for i in range(len(images))]
        return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}

    return run_all


FORMATS = {
    "onnx": Format(".onnx", _write_onnx, load_onnx, can_quantise=True),
    "openvino": Format(".xml", _write_openvino, load_openvino, can_quantise=True),
    "litert": Format(".tflite", _write_litert, _load_litert),
    "saved_model": Format(".saved_model", _write_saved_model, _load_saved_model),
}
