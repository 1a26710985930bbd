"""The detector as an ONNX file and Keras weights, with a card."""

from __future__ import annotations

from pathlib import Path


def export_detector(weights: Path, input_size: int, path: Path) -> None:
    """Write trained weights as ONNX, `image` (N, S, S, 3) uint8 to the maps by name, centre and left as chances; beside it Keras weights and a .json card."""
    import keras
    from keras import ops

    from handpose.training.exported import round_weights, save_half, to_onnx, write_card, write_onnx
    from tracker.detector_network import build_detector

    keras.config.set_dtype_policy("float32")
    model = build_detector(input_size)
    model.load_weights(weights)
    round_weights(model)

    def serve(images):
        maps = model(ops.cast(images, "float32"), training=False)
        return {**maps, "centre": ops.sigmoid(maps["centre"]), "left": ops.sigmoid(maps["left"])}

    card = {"network": "detector", "input_size": input_size}
    write_onnx(to_onnx(serve, input_size), path, card, weights=model.get_weights())
    keras_path = path.with_suffix(".weights.h5")
    save_half(model, keras_path)
    write_card(path.with_suffix(".json"), card, (path, keras_path))
