"""What training draws from shards: Keras fits it on JAX too, and nothing that was drawn stays in memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests_data import write_photo_set

from handpose.errors import HandposeError
from handpose.synthesis.backgrounds import Backgrounds
from regnet.photo_crops import PhotoCrops
from regnet.shards import FORMAT, MANIFEST, read_manifest

pytest.importorskip("array_record", reason="no shards on this system")
ROOT = Path(__file__).resolve().parents[1]
for name in ("datasets", "tools"):
    sys.path.append(str(ROOT / name))
import prepare
import throughput

HANDS = 200

FIT = """
import json, sys
from pathlib import Path
import grain, keras, numpy as np
from regnet.shards import Shards
keras.utils.set_random_seed(0)
pairs = grain.MapDataset.source(Shards(Path(sys.argv[1]))).seed(0).shuffle().map(
    lambda window: (window.image[..., :3].astype("float32"), window.joints_px.ravel().astype("float32"))
)
model = keras.Sequential([keras.Input((192, 192, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(42)])
model.compile(optimizer="adam", loss="mse")
before = model.get_weights()
losses = model.fit(pairs.repeat().batch(4), steps_per_epoch=1, shuffle=False, verbose=0).history["loss"]
moved = [bool(np.any(old != new)) for old, new in zip(before, model.get_weights(), strict=True)]
print(json.dumps([keras.backend.backend(), losses, moved]))
"""


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    """8 photographed hands, again and again, in two shards."""
    root = tmp_path_factory.mktemp("shards")
    photos, out = write_photo_set(root / "photos"), root / "out"
    options = ["--n", str(HANDS), "--per-shard", str(HANDS // 2), "--workers", "2"]
    assert prepare.main(["--i", str(photos), "--o", str(out), *options]) == 0
    return out


def test_keras_fits_shards_on_jax(shards):
    pytest.importorskip("jax")
    pytest.importorskip("grain")
    environment = os.environ | {"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, "-c", FIT, str(shards)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-2000:]
    backend, (loss,), moved = json.loads(done.stdout.splitlines()[-1])
    assert backend == "jax" and 0 < loss < 1e5 and moved == [True, True]


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="tells the memory by /proc")
def test_nothing_that_was_drawn_stays_in_memory(shards):
    """A window is 147 kB: 27 MB more if each hand were kept, 440 MB if each draw were."""
    crops, rng = PhotoCrops([shards], "train", Backgrounds()), np.random.default_rng(0)
    resident_mb = []
    for count in (20, 3000):
        for _ in range(count):
            crops.item(rng)
        resident_mb.append(throughput._resident_mb())
    assert crops.n_hands == HANDS
    assert resident_mb[1] - resident_mb[0] < 8


@pytest.mark.parametrize(
    "broken", [{"shards": []}, {"shards": None}, {"shards": {"0": {"records": None}}}, {"count": None}, {"format": 2}]
)
def test_a_broken_manifest_is_told_in_one_line(tmp_path, broken):
    whole = {"format": FORMAT, "settings": {}, "count": 1, "shards": {"0": {"records": 1, "empty": 0, "bytes": 9}}}
    (tmp_path / MANIFEST).write_text(json.dumps(whole))
    assert read_manifest(tmp_path) == whole
    (tmp_path / MANIFEST).write_text(json.dumps(whole | broken))
    with pytest.raises(HandposeError, match=r"shards.json: .*prepare (them|the shards) again$"):
        read_manifest(tmp_path)
