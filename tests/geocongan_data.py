"""Small things that the tests of the translator share: prepared photographs, exported translators that need no training."""

import json
from pathlib import Path

import cv2
import numpy as np


def write_prepared(folder: Path, count: int = 6, size: int = 64) -> Path:
    """Write hands as `geocongan prepare` does: discs of skin, without joints."""
    user = folder / "user_made"
    for part in ("color", "mask"):
        (user / part).mkdir(parents=True)
    for i in range(1, count + 1):
        mask = np.zeros((size, size), np.uint8)
        cv2.circle(mask, (size // 2 + i % 3, size // 2 - i % 2), size // 4 + i % 4, 255, -1)
        colour = np.full((size, size, 3), (90 + 8 * i, 130, 190), np.uint8)
        cv2.imwrite(str(user / "color" / f"image_{i}_color.png"), colour)
        cv2.imwrite(str(user / "mask" / f"image_{i}.png"), mask)
    (user / "joints.json").write_text(json.dumps({}))
    return folder


def write_translator(path: Path, size: int, gains=(1.0, 1.0, 1.0)) -> Path:
    """Write a translator's file that draws each channel (R, G, B) away from white by its gain: 255 - gain (255 - x)."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    scale = np.array(gains, np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["values", "gains"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offsets"], ["translated"]),
    ]
    shape = ["n", size, size, 3]
    graph = helper.make_graph(
        nodes, "translator", [helper.make_tensor_value_info("image", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("translated", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(scale, "gains"), numpy_helper.from_array(255 * (1 - scale), "offsets")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, str(path))
    return path
