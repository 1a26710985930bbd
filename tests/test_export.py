"""Export: the contract, agreement with Keras in every format, int8, refusals."""

import argparse
import hashlib
import json
import shutil

import keras
import numpy as np
import pytest
from geocongan_data import write_prepared

from handpose.errors import HandposeError
from handpose.training.exported import save_half
from handpose.training.rounding import rounded
from regnet import export as command
from regnet import exporter as exporting
from regnet import light
from regnet.export_formats import FORMATS, Format, load_onnx, load_openvino
from regnet.keras_predictor import KerasNetwork
from regnet.light import build_light
from regnet.networks import build, load
from regnet.predictor import Predictor
from tracker.load import weights_in_words

ROUNDED_TWICE = 1e-4  # the fixture's outputs differ by 2e-6, and by 8e-4 where scales are rounded into kernels
CONTRACT = {
    "features": (432,),
    "heatmaps": (21, 32, 32),
    "joints_rel": (21, 3),
    "confidence": (21,),
    "presence": (1,),
    "left": (1,),
}


def trained(folder, network="light", input_size=128, seed=1, **options):
    """A run folder whose network has lived: random statistics in the norms, and heads of a usual size."""
    keras.utils.set_random_seed(seed)
    model = build(network, input_size, **options)
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(rng.uniform(0.7, 1.3, layer.gamma.shape))
            layer.beta.assign(rng.normal(0, 0.2, layer.beta.shape))
            layer.moving_mean.assign(rng.normal(0, 0.2, layer.beta.shape))
            layer.moving_variance.assign(rng.uniform(0.5, 2, layer.beta.shape))
    folder.mkdir()
    model.save_weights(folder / "best.weights.h5")
    (folder / "config.json").write_text(
        json.dumps({"network": network, "input_size": input_size, **options, "sources": ["/home/x/photos", "render"]})
    )
    return folder


@pytest.fixture(autouse=True, scope="module")
def _shallow():
    """The light network has one block for each stage: enough where it does not matter what is exported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(light, "BLOCKS", (0, 0, 0, 0))
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("export") / "run")


@pytest.fixture(scope="module")
def exported(run):
    exporting.export(run, run / "light")
    return run / "light.onnx"


def test_exported_file_keeps_the_contract(exported):
    import onnx

    graph = onnx.load(exported).graph
    (image,) = graph.input
    assert image.name == "image" and image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [d.dim_value for d in image.type.tensor_type.shape.dim][1:] == [128, 128, 3]
    assert {output.name for output in graph.output} == set(CONTRACT)
    for batch in (1, 3):
        pictures = np.random.default_rng(batch).integers(0, 256, (batch, 128, 128, 3), dtype=np.uint8)
        outputs = load_onnx(exported)(pictures)
        assert {name: value.shape for name, value in outputs.items()} == {k: (batch, *v) for k, v in CONTRACT.items()}
        for name in ("confidence", "presence", "left"):
            assert outputs[name].min() >= 0 and outputs[name].max() <= 1


def test_what_another_network_left_does_not_run_in_its_place(tmp_path):
    """Files of the same weights stay in their card; those of others are removed."""
    run, other = trained(tmp_path / "run"), trained(tmp_path / "other", seed=5)
    stem, card, left = tmp_path / "net", tmp_path / "net.json", tmp_path / "net.int8.onnx"

    def exported_anew(folder):
        keras.utils.clear_session()  # names count on within a process, and are part of the file
        exporting.export(folder, stem, ())
        return set(json.loads(card.read_text())["sha256"])

    assert exported_anew(run) == {"net.weights.h5"}
    left.write_bytes(b"a network")
    content = json.loads(card.read_text())
    card.write_text(json.dumps({**content, "sha256": {**content["sha256"], left.name: "12ab"}}))
    assert exported_anew(run) == {"net.weights.h5", left.name} and left.exists()
    assert exported_anew(other) == {"net.weights.h5"} and not left.exists()


def test_no_weight_is_rounded_twice(run, exported):
    pictures = exporting.test_pattern(128)
    reference = KerasNetwork(exported.with_suffix(".weights.h5"))(pictures)
    found = exporting.differences(load_onnx(exported)(pictures), reference)
    assert max(found.values()) < ROUNDED_TWICE


def test_openvino_runs_the_onnx_file_too(run, exported):
    pictures = exporting.test_pattern(128)
    reference = KerasNetwork(exported.with_suffix(".weights.h5"))(pictures)
    assert max(exporting.differences(load_openvino(exported)(pictures), reference).values()) < exporting.TOLERANCE


def test_heatmaps_are_the_kept_ones_in_their_order(run, exported):
    model, _ = load(exported.with_suffix(".weights.h5"))
    pictures = exporting.test_pattern(128)
    reference = np.array(model(pictures.astype("float32"))["heatmaps"])
    np.testing.assert_allclose(
        load_onnx(exported)(pictures)["heatmaps"], np.moveaxis(reference, -1, 1)[:, :21], atol=1e-3
    )


def test_export_writes_a_card_with_checksums_and_loadable_weights(run, exported):
    card = json.loads(exported.with_suffix(".json").read_text())
    assert (card["network"], card["input_size"]) == ("light", 128)
    assert card["sources"] == ["photos", "render"]  # nobody's folders travel with the weights
    for name, digest in card["sha256"].items():
        assert hashlib.sha256((run / name).read_bytes()).hexdigest() == digest
    again, _ = load(run / "light.weights.h5")
    first, _ = load(run)
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(b, rounded(a))


def test_exported_files_stay_small(run, exported):
    """Of weights by chance, which nothing packs well, Keras and ONNX files take less than a third of what float32 would."""
    in_float32 = 2 * 4 * build_light().count_params()
    assert sum((run / name).stat().st_size for name in ("light.onnx", "light.weights.h5")) < in_float32 / 3


def test_keras_runtime_predicts_what_onnx_does(run, exported):
    class Onnx:
        input_size = 128

        def __call__(self, images):
            return load_onnx(exported)(images)

    windows = exporting.test_pattern(128)
    sides = ["left", "right", "right", "left"]
    one = Predictor(Onnx()).windows(windows, sides)
    other = Predictor.from_file(exported.with_suffix(".weights.h5"), runtime="keras").windows(windows, sides)
    for name in ("joints_rel", "confidence", "presence", "left"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-3)


def test_keras_runtime_finds_the_keras_weights_beside_the_exported_ones(run, exported, capsys):
    windows = exporting.test_pattern(128)
    beside = Predictor.from_file(exported, runtime="keras", device="gpu")
    first = Predictor.from_file(exported.with_suffix(".weights.h5"), runtime="keras")
    np.testing.assert_allclose(beside.network(windows)["joints_rel"], first.network(windows)["joints_rel"], atol=1e-5)
    digest = hashlib.sha256(exported.with_suffix(".weights.h5").read_bytes()).hexdigest()
    assert weights_in_words(beside) == f"light.weights.h5 sha256:{digest}"
    if not keras.distribution.list_devices("gpu"):
        assert capsys.readouterr().err.count("no GPU that Keras") == 1


def test_keras_weights_that_were_altered_are_refused(exported, tmp_path):
    card = json.loads(exported.with_suffix(".json").read_text())
    (tmp_path / "light.json").write_text(json.dumps(card))
    (tmp_path / "light.weights.h5").write_bytes(exported.with_suffix(".weights.h5").read_bytes() + b"\0")
    with pytest.raises(HandposeError, match=r"light.weights.h5: the weights were altered: expected SHA-256"):
        Predictor.from_file(tmp_path / "light.onnx", runtime="keras")


def test_an_export_that_differs_is_refused_and_leaves_nothing(run, tmp_path, monkeypatch):
    def write(model, path, card, calibration):
        path.write_bytes(b"draft")

    def load(path):
        return lambda images: {k: np.full((4, *v), 9.0) for k, v in CONTRACT.items()}

    monkeypatch.setitem(FORMATS, "onnx", Format(".onnx", write, load))
    with pytest.raises(HandposeError, match="onnx differs from Keras"):
        exporting.export(run, tmp_path / "bad")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (RuntimeError("basic_ios::clear: iostream error\nmore"), "basic_ios::clear: iostream error"),
        (shutil.Error([("a", "b", "No space left")]), "No space left"),
    ],
)
def test_a_full_disk_is_told_in_one_line(run, tmp_path, monkeypatch, error, told):
    def write(served, path, card, calibration):
        path.write_bytes(b"half of it")
        raise error

    monkeypatch.setitem(FORMATS, "onnx", Format(".onnx", write, load_onnx))
    with pytest.raises(HandposeError, match=f"^net.onnx: cannot be written .*{told}[^\n]*$"):
        exporting.export(run, tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_datasets_of_silhouettes_have_nothing_to_compare_on(tmp_path, capsys, monkeypatch):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    masks = write_prepared(tmp_path / "masks", count=3)
    run = trained(tmp_path / "run")
    config = json.loads((run / "config.json").read_text()) | {"sources": [str(masks)]}
    (run / "config.json").write_text(json.dumps(config))
    options = ["--i", str(run)]
    for further in (["--photos", str(masks)], ["--quantize", "int8"]):
        with pytest.raises(HandposeError, match=f"{masks}: no labelled hand in it"):
            command.run(parser.parse_args([*options, *further]))
    monkeypatch.setattr(command, "_TIMED", 2)
    command.run(parser.parse_args([*options, "--format", "saved_model"]))
    assert "checked on a test pattern" in capsys.readouterr().out


@pytest.mark.parametrize("source", ["run", "run/best.weights.h5"])
def test_an_export_over_its_own_source_is_refused(run, tmp_path, source):
    shutil.copytree(run, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(HandposeError, match="best.weights.h5: would be written over, but is what is exported"):
        exporting.export(tmp_path / source, tmp_path / "run" / ".." / "run" / "best")
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_an_export_that_is_stopped_leaves_the_old_files_whole(tmp_path, monkeypatch):
    run, folder = trained(tmp_path / "run"), tmp_path / "exported"
    folder.mkdir()

    def stopped(model, path):
        path.write_bytes(b"half of it")
        raise KeyboardInterrupt

    old = {f"light{ending}": b"old" for ending in (".onnx", ".weights.h5", ".json")}
    for name, content in old.items():
        (folder / name).write_bytes(content)
    monkeypatch.setattr(keras.Model, "save_weights", stopped)
    with pytest.raises(KeyboardInterrupt):
        exporting.export(run, folder / "light")
    with pytest.raises(KeyboardInterrupt):
        save_half(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), folder / "light.weights.h5")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == old


def test_missing_torn_and_foreign_weights_are_told_in_one_line(run, tmp_path):
    def message(path):
        with pytest.raises(HandposeError) as caught:
            load(path)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no such weights file" in message(tmp_path / "nothing.weights.h5")
    assert "train first" in message(tmp_path)
    (tmp_path / "best.weights.h5").write_bytes(b"not hdf5")
    assert "config.json" in message(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"network": "light", "input_size": 128}))
    assert "not weights of the regnet_light_128" in message(tmp_path)
    (tmp_path / "best.weights.h5").write_bytes((run / "best.weights.h5").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({"network": "paper", "input_size": 128}))
    assert "not weights of the regnet_paper_128" in message(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"network": "huge", "input_size": 128}))
    assert "no known network" in message(tmp_path)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("--o x.pb", "must end in .onnx"),
        ("--o x.onnx --format litert", "must end in .tflite"),
        ("--o none/x.onnx", "no such folder"),
        ("--o x --quantize int8", "--quantize int8 needs"),
        ("--o x --quantize int8 --photos p --format saved_model", "--quantize int8 needs --format onnx or openvino"),
        ("--o x --quantize bf16", "for --format openvino"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_work(run, tmp_path, monkeypatch, options, reason):
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    with pytest.raises(HandposeError, match=reason):
        command.run(parser.parse_args(["--i", str(run), *options.split()]))
    assert not list(tmp_path.iterdir())
