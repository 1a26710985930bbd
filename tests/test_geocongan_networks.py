"""GeoConGAN's networks, losses, pool and step: shapes, what each loss wants, one step that learns, a state that comes back."""

import itertools

import numpy as np
import pytest

keras = pytest.importorskip("keras")
from keras import ops

from geocongan.gan import Gan, GanSize
from geocongan.image_pool import ImagePool
from geocongan.layers import ReflectionPadding
from geocongan.losses import Weights, silhouette_loss
from geocongan.networks import build_discriminator, build_generator, build_silnet
from handpose.errors import HandposeError
from handpose.training import checkpoint
from handpose.training.loop import BAD_BATCH_NAME, Task, run_loop
from handpose.training.options import RunConfig
from handpose.training.run_dir import RunDir

SMALL = GanSize(64, 4, 1)


def batch(step=0, count=2, size=64):
    rng = np.random.default_rng(step)
    mask = np.zeros((count, size, size, 1), np.float32)
    mask[:, 16:48, 20:44] = 1
    bright = np.where(mask > 0, 0.5, 1.0).repeat(3, -1)
    noise = rng.normal(0, 0.1, (2, count, size, size, 3))
    return {
        "synthetic": (bright + noise[0]).clip(-1, 1).astype(np.float32), "synthetic_mask": mask,
        "real": (bright - 0.4 * mask + noise[1]).clip(-1, 1).astype(np.float32), "real_mask": mask,
    }  # fmt: skip


def small_gan(silnet_seed=1):
    keras.utils.set_random_seed(silnet_seed)
    gan = Gan(SMALL, Weights(), build_silnet(64, 4), 2e-3)
    for pool in gan.pools.values():
        pool.size = 3  # full after two steps
    return gan


def test_sizes_are_those_of_cyclegan():
    """Nine blocks and 64 filters have 11.4 million weights, the 70x70 judge 2.8 (Zhu et al. 2017)."""
    generator, judge = build_generator(256), build_discriminator(256)
    assert generator.output_shape == (None, 256, 256, 3)
    assert generator.count_params() == pytest.approx(11.38e6, rel=0.01)
    assert judge.output_shape == (None, 30, 30, 1)
    assert judge.count_params() == pytest.approx(2.77e6, rel=0.01)


def test_a_judge_sees_patches_of_70_pixels():
    judge = build_discriminator(128, 4)
    image = np.zeros((1, 128, 128, 3), np.float32)
    plain = np.asarray(keras.Model(judge.input, judge.get_layer("conv0").output)(image))
    assert plain.shape == (1, 64, 64, 4)
    reach = 1
    for layer in reversed([layer for layer in judge.layers if isinstance(layer, keras.layers.Conv2D)]):
        reach = (reach - 1) * layer.strides[0] + layer.kernel_size[0]
    assert reach == 70


def test_borders_are_mirrored():
    row = np.arange(4, dtype=np.float32)[None, None, :, None].repeat(4, 1)
    padded = np.asarray(ReflectionPadding(2)(row))
    np.testing.assert_array_equal(padded[0, 3, :, 0], [2, 1, 0, 1, 2, 3, 2, 1])


@pytest.mark.parametrize("build", [build_generator, build_discriminator, build_silnet])
def test_other_sizes_are_refused(build):
    with pytest.raises(ValueError, match="30"):
        build(30)


def test_silhouettes_are_logits_against_masks():
    mask = batch()["synthetic_mask"]
    sure = ops.convert_to_tensor(np.where(mask > 0, 9.0, -9.0).astype(np.float32))
    assert float(silhouette_loss(sure, mask)) < 1e-3
    assert float(silhouette_loss(-sure, mask)) > 8
    assert build_silnet(64, 4)(batch()["real"]).shape == (2, 64, 64, 1)


def test_the_pool_gives_earlier_pictures_half_of_the_time():
    pool, rng = ImagePool(10), np.random.default_rng(0)
    for i in range(10):
        np.testing.assert_array_equal(pool.exchange(rng, np.full((1, 2, 2, 3), i, np.float32)), i)
    given = [float(pool.exchange(rng, np.full((1, 2, 2, 3), 100 + i, np.float32))[0, 0, 0, 0]) for i in range(200)]
    new = np.mean([value == 100 + i for i, value in enumerate(given)])
    assert 0.35 < new < 0.65 and len(pool.pictures) == 10


def test_steps_train_all_but_the_silhouettes_and_go_on_from_disk(tmp_path):
    gan = small_gan()
    before = {name: network.get_weights() for name, network in gan.networks.items()}
    first = gan.step(0, batch(), 0.0)
    assert {"cycle_synth", "geometric_real", "adversarial_synth", "judges"} <= set(first)
    for name, network in gan.networks.items():
        changed = any((a != b).any() for a, b in zip(before[name], network.get_weights(), strict=True))
        assert changed == (name != "silnet")
    for (
        name,
        average,
    ) in gan.averages.items():  # the start counts two parts of eleven, the weights after the first step nine
        for start, own, mean in zip(before[name], gan.networks[name].get_weights(), average.values, strict=True):
            np.testing.assert_allclose(mean, (2 * start + 9 * own) / 11, rtol=1e-5, atol=1e-7)
    for i in range(1, 10):
        gan.step(i, batch(i), 0.0)
    kept = {name: [np.copy(value) for value in values] for name, values in gan.values().items()}
    checkpoint.save(tmp_path, kept, {"step": 10})
    wanted = [gan.step(i, batch(i), 0.0) for i in range(10, 13)]
    assert wanted[-1]["cycle_synth"] < first["cycle_synth"]
    pools = {name: np.copy(pool.pictures) for name, pool in gan.pools.items()}
    averages = {name: [np.copy(value) for value in average.values] for name, average in gan.averages.items()}
    other = small_gan(silnet_seed=2)
    for one in (other, gan):  # another, and the one whose graphs are made
        assert checkpoint.restore(tmp_path, one.assign) == {"step": 10}
        np.testing.assert_equal(one.values(), kept)
    for i, losses in zip(range(10, 13), wanted, strict=True):
        assert gan.step(i, batch(i), 0.0) == pytest.approx(losses, abs=1e-4)
    for name, pool in gan.pools.items():
        np.testing.assert_allclose(pool.pictures, pools[name], atol=1e-3)
    for name, average in gan.averages.items():
        for restored, wanted_mean in zip(average.values, averages[name], strict=True):
            np.testing.assert_allclose(restored, wanted_mean, atol=1e-3)
    for progress, rate in ((0.5, 2e-3), (0.75, 1e-3), (1.0, 0.0)):  # constant, and in the second half down to nothing
        gan.step(13, batch(13), progress)
        assert [float(optimizer.learning_rate.value) for optimizer in gan.optimizers] == pytest.approx([rate] * 2)
    own = {name: network.get_weights() for name, network in gan.networks.items()}
    with gan.averaged() as translators:
        mean = {name: network.get_weights() for name, network in translators.items()}
    assert sorted(mean) == ["real2synth", "synth2real"]
    for name, weights in mean.items():
        assert any((a != b).any() for a, b in zip(weights, own[name], strict=True)), name
        np.testing.assert_equal(gan.networks[name].get_weights(), own[name])
    with pytest.raises(HandposeError, match="not a checkpoint of these networks"):
        checkpoint.restore(tmp_path, Gan(GanSize(64, 6, 1), Weights(), None, 2e-3).assign)


def test_a_run_starts_from_both_translators_of_another(tmp_path):
    """They lie side by side under names that differ by theirs; under another name one file would become both."""
    first, second = small_gan(1), small_gan(2)
    first.keep(tmp_path, best=True)
    second.start_from(tmp_path / "synth2real_best.weights.h5")
    for name in ("synth2real", "real2synth"):
        wanted = first.networks[name].get_weights()
        np.testing.assert_equal(second.networks[name].get_weights(), wanted)
        np.testing.assert_equal(second.averages[name].values, wanted)
    (tmp_path / "synth2real_best.weights.h5").rename(tmp_path / "mine.weights.h5")
    with pytest.raises(HandposeError, match="mine.weights.h5: --init takes synth2real_"):
        second.start_from(tmp_path / "mine.weights.h5")


def test_a_loss_that_is_not_finite_ends_plain_cyclegan_with_its_batch_kept(tmp_path):
    folder = RunDir.plan(tmp_path / "run", {})
    bad = batch(2)
    bad["real"][0, 0, 0] = np.nan
    batches = (bad if step == 2 else batch(step) for step in itertools.count())
    scores = iter([2.0, 1.0])
    task = Task(Gan(SMALL, Weights(geometric=0.0), None, 1e-3), lambda first: batches, lambda _, step: next(scores))
    config = RunConfig(sources=("x",), mix=(1.0,), batch_size=2, steps=9, evaluate_every=1, save_every=2)
    with pytest.raises(HandposeError, match="is nan at step 3: stopped, the last checkpoint is good, the batch is in"):
        run_loop(task, config, folder, False, "geocongan train", print)
    with np.load(folder.path / BAD_BATCH_NAME, allow_pickle=False) as stored:
        assert sorted(stored.files) == ["real", "real_mask", "synthetic", "synthetic_mask"]
        np.testing.assert_array_equal(stored["real"], bad["real"])
    header, *rows = (folder.path / "losses.csv").read_text().splitlines()
    assert "judges" in header and "geometric" not in header and len(rows) == 2
    best, last = ((folder.path / f"real2synth_{kind}.weights.h5").read_bytes() for kind in ("best", "last"))
    assert best != last
