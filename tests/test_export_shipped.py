"""Export of what ships: every format of it, its int8 file, and what it weighs."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from test_export import CONTRACT

from handpose.heatmap import decode_heatmaps
from regnet import export as command
from regnet import exporter as exporting
from regnet.export_formats import FORMATS, load_onnx, load_openvino
from regnet.keras_predictor import KerasNetwork
from regnet.labelled import labelled_windows
from regnet.predictor import DEFAULT_WEIGHTS, keras_beside


@pytest.mark.parametrize("load", [load_onnx, load_openvino])
def test_the_shipped_int8_file_sees_what_the_shipped_keras_weights_see(shared_data, load):
    windows, _ = labelled_windows(shared_data / "real" / "hands_dguzk", 128, 24, split="held_out")
    pictures = np.stack([window.image[:, ::-1] if window.side == "right" else window.image for window in windows])
    fast, exact = load(DEFAULT_WEIGHTS)(pictures), KerasNetwork(keras_beside(DEFAULT_WEIGHTS))(pictures)
    assert set(fast) == set(CONTRACT)
    apart = [decode_heatmaps(answer["heatmaps"])[0] for answer in (fast, exact)]
    cells = np.linalg.norm(apart[0] - apart[1], axis=-1)
    assert 0 < np.median(cells) < 0.1 and np.quantile(cells, 0.95) < 0.5, "cells of 32"
    assert np.quantile(np.linalg.norm(fast["joints_rel"] - exact["joints_rel"], axis=-1), 0.95) < 0.1, "of |W-M0|"
    for chance in ("presence", "left"):
        assert np.median(np.abs(fast[chance] - exact[chance])) < 0.02, chance


def test_an_int8_file_s_weights_leave_processors_without_dot_products_room_for_their_sums():
    import onnx

    kernels = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(DEFAULT_WEIGHTS).graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 4
    ]
    assert len(kernels) > 40, "convolutions"
    assert max(2 * 255 * int(np.abs(kernel.astype(int)).max()) for kernel in kernels) < 2**15


def test_what_ships_of_a_network_takes_25_mb():
    cards = sorted(Path(__file__).parents[1].glob("*/weights/*.json"))
    assert len(cards) >= 4
    for card in cards:
        assert sum(file.stat().st_size for file in card.parent.glob(f"{card.stem}.*")) < 25e6, card


def test_every_format_agrees_with_keras_on_photographs_and_is_timed(shared_data, tmp_path, capsys, monkeypatch):
    """The network that ships, all formats in one table; int8 is calibrated on training photographs and moves no joint far."""
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    monkeypatch.setattr(command, "CALIBRATION_HANDS", 32)
    monkeypatch.setattr(command, "_TIMED", 9)
    photos = shared_data / "real" / "hands_dguzk"
    command_line = ["--i", str(keras_beside(DEFAULT_WEIGHTS)), "--o", str(tmp_path / "net")]
    command_line += ["--photos", str(photos), "--quantize", "int8", "bf16", "--format", *FORMATS]
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args(command_line))
    told = capsys.readouterr().out
    assert "checked on 32 hands of hands_dguzk" in told
    rows = {line[:14].strip(): line[14:].split() for line in told.splitlines() if " ms  " in line}
    assert list(rows) == [
        "keras", "onnx", "onnx int8", "openvino", "openvino int8", "litert", "saved_model", "openvino bf16"
    ]  # fmt: skip
    for name in FORMATS:
        size, unit, difference, _, milliseconds = rows[name][:5]
        assert float(difference) < exporting.TOLERANCE and float(milliseconds) > 0 and float(size) > 5, (name, unit)
    for name in ("onnx", "openvino"):  # whose files hold kernels as bytes anyway
        assert float(rows[f"{name} int8"][0]) <= float(rows[name][0])
        assert float(rows[f"{name} int8"][2]) > exporting.TOLERANCE

    windows, _ = labelled_windows(photos, 128, 12, split="held_out")
    pictures = np.stack([window.image for window in windows])
    networks = [load_onnx(tmp_path / f"net{ending}") for ending in (".onnx", ".int8.onnx")]
    (seen, joints), (seen_int8, joints_int8) = (
        (decode_heatmaps(answer["heatmaps"])[0], answer["joints_rel"])
        for answer in (network(pictures) for network in networks)
    )
    assert 0 < np.median(np.linalg.norm(seen - seen_int8, axis=-1)) < 0.5, "cells of 32"
    assert np.median(np.linalg.norm(joints - joints_int8, axis=-1)) < 0.05, "of |W-M0|"
    assert np.isfinite(networks[1](np.full((1, 128, 128, 3), 90, np.uint8))["joints_rel"]).all()
    card = json.loads((tmp_path / "net.json").read_text())["sha256"]
    assert {"net.onnx", "net.int8.onnx", "net.xml", "net.bin", "net.tflite", "net.weights.h5"} < set(card)
    assert "net.saved_model/saved_model.pb" in card
    assert not list(tmp_path.glob(".*")), "nothing half is left"
