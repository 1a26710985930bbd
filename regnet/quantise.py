"""Networks that compute in int8: ONNX Runtime's static quantisation, its ranges taken from training photographs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from handpose.training.exported import halve

CALIBRATION_HANDS = 300
_BATCH = 4
_OPERATORS = ["Conv", "Add"]  # of maps: what int8 makes faster; coordinates are too fine for 256 steps


def quantise_onnx(path: Path, calibration: np.ndarray) -> None:
    """Turn a float32 ONNX file into one that computes in int8, ranges as seen on pictures of left hands (N, S, S, 3) uint8.

    Weights per channel, activations per tensor between the smallest and the largest value (Jacob et al. 2018, section 3). Of a
    weight's byte seven bits are used: processors without int8 dot products add pairs of products in 16 bits, which eight overflow.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Pictures(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.batches: Iterator[np.ndarray] = (
                calibration[i : i + _BATCH] for i in range(0, len(calibration), _BATCH)
            )

        def get_next(self):
            batch = next(self.batches, None)
            return None if batch is None else {"image": batch}

    quant_pre_process(str(path), str(path), skip_symbolic_shape=True)
    quantization.quantize_static(
        str(path),
        str(path),
        Pictures(),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=_OPERATORS,
        nodes_to_exclude=_not_of_maps(path),
        per_channel=True,
        reduce_range=True,
        weight_type=quantization.QuantType.QInt8,
        activation_type=quantization.QuantType.QUInt8,
        calibrate_method=quantization.CalibrationMethod.MinMax,
    )
    graph = onnx.load(path)
    del graph.graph.value_info[:]  # shapes that quantising asked for, and that running does not
    halve(graph)  # what stays float32: the layers that give coordinates and scores
    onnx.save(graph, path)


def _not_of_maps(path: Path) -> list[str]:
    """Name the nodes whose result is no map (N, C, H, W), in a file whose shapes are known."""
    import onnx

    graph = onnx.load(path).graph
    rank = {value.name: len(value.type.tensor_type.shape.dim) for value in [*graph.value_info, *graph.output]}
    return [node.name for node in graph.node if rank.get(node.output[0]) != 4]
