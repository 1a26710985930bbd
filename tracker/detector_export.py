"""The detector as an ONNX file."""

from __future__ import annotations

from pathlib import Path


def export_detector(weights: Path, input_size: int, path: Path) -> None:
    """Write trained weights as ONNX: `image` (N, S, S, 3) uint8 to the maps by name, centre and left as chances."""
    import keras
    from keras import ops

    from regnet.export import write_onnx
    from tracker.detector_network import build_detector

    keras.config.set_dtype_policy("float32")
    model = build_detector(input_size)
    model.load_weights(weights)

    def serve(images):
        maps = model(ops.cast(images, "float32"), training=False)
        return {**maps, "centre": ops.sigmoid(maps["centre"]), "left": ops.sigmoid(maps["left"])}

    write_onnx(serve, input_size, path, {"network": "detector", "input_size": input_size})
