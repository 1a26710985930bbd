"""Test-time augmentation: copies come back to where they were cut, and the mean of a network that sees truly is the truth."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from tests_data import write_photo_set

from handpose.heatmap import cells_from_px, gaussian_heatmaps
from regnet import evaluate as evaluation
from regnet.averaged import AveragingPredictor, merged
from regnet.cli import main
from regnet.predictor import Predictor
from tracker.detector import Detection
from tracker.pipeline import HandTracker

SIZE = 128
# Of the wrist, of M0, of the fingertips: a hand that lies well.
SPOTS = np.array([[56.0, 106.0], [54.0, 40.0], [72.0, 21.0]])
_THERE = Detection(np.array([63.0, 64.0]), 85.0, 0.0, 0.9, 0.9)


class Spots:
    """Finds the middle of the bright spot of each colour, and calls the way from the first to it that of the joint in 3D, in units of |W-M0|."""

    input_size = SIZE

    def __init__(self):
        self.seen = 0

    def __call__(self, images):
        self.seen += len(images)
        weights = images.astype(float) * (images > 60)
        rows, columns = np.mgrid[:SIZE, :SIZE]
        found = np.stack(
            [(weights * grid[..., None]).sum((1, 2)) / weights.sum((1, 2)) for grid in (columns, rows)], axis=-1
        )
        n, ones = len(images), np.ones((len(images), 21))
        unit = np.linalg.norm(found[:, 1] - found[:, 0], axis=-1)[:, None, None]
        found = np.repeat(found, 7, axis=1)
        depth = np.full((n, 21, 1), 0.5)
        return {
            "heatmaps": gaussian_heatmaps(cells_from_px(found, SIZE)),
            "joints_rel": np.concatenate([(found - found[:, :1]) / unit, depth], axis=-1),
            "confidence": 0.8 * ones, "presence": ones[:, :1], "left": 0.9 * ones[:, :1],
        }  # fmt: skip


def picture():
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    for colour, spot in enumerate(SPOTS.astype(int).tolist()):
        one = np.zeros((SIZE, SIZE), np.uint8)
        cv2.circle(one, spot, 7, 255, -1)
        image[..., colour] = one
    return image


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_mean_of_true_answers_is_true(side):
    network = Spots()
    plain, mean = (
        Predictor(network).windows([picture()], [side]),
        AveragingPredictor(network).windows([picture()], [side]),
    )
    assert network.seen == 6
    np.testing.assert_allclose(mean.joints_px[0], np.repeat(SPOTS, 7, axis=0), atol=0.5)
    np.testing.assert_allclose(mean.joints_rel, plain.joints_rel, atol=0.006)
    np.testing.assert_allclose(mean.left, plain.left)
    np.testing.assert_allclose(mean.sigma_px, plain.sigma_px, rtol=0.05)


def test_copies_differ_and_each_counts():
    class Steady(Spots):
        """Answers with the same place, whatever it is shown: that of each copy lies elsewhere."""

        def __call__(self, images):
            here = np.tile(np.array([70.0, 21.0]), (len(images), 21, 1))
            here[:, 0, 1] = 106  # the wrist: a hand that lies well
            return super().__call__(images) | {"heatmaps": gaussian_heatmaps(cells_from_px(here, SIZE))}

    at = AveragingPredictor(Steady()).windows([picture()], ["left"]).joints_px[0, 1] - (SIZE - 1) / 2
    away = np.array([70.0, 21.0]) - (SIZE - 1) / 2
    np.testing.assert_allclose(at, away * (1 + 2 * np.cos(0.15) + 0.92 + 1.08) / (3 + 0.92**2 + 1.08**2), atol=0.05)


def test_it_is_an_option_of_the_measurement(tmp_path, monkeypatch, capsys):
    network = Spots()
    monkeypatch.setattr(evaluation, "load_predictor", lambda weights: Predictor(network))
    source = write_photo_set(tmp_path / "set", 2)
    seen = []
    for option in ([], ["--augment"]):
        assert main(["test", "--i", str(source), "--report", str(tmp_path / "report"), *option]) == 0
        seen.append(network.seen - sum(seen))
        assert ("mean of 5 altered copies" in (tmp_path / "report" / "report.md").read_text()) == bool(option)
    assert seen[1] >= 5 * seen[0]
    capsys.readouterr()
    assert main(["test", "--i", str(source / "images"), "--augment"]) == 1
    assert "--augment" in capsys.readouterr().err


def test_errors_of_their_own_shrink_and_are_admitted():
    network = Spots()
    truth = np.repeat(SPOTS, 7, axis=0)
    rng = np.random.default_rng(0)
    seen = Predictor(network).windows([picture()], ["left"])
    answers = [replace(seen, joints_px=seen.joints_px + rng.normal(0, 4, (1, 21, 2))) for _ in range(5)]
    mean = merged(answers, SIZE)
    error, errors = (np.linalg.norm(one - truth, axis=-1).mean() for one in (mean.joints_px, answers[0].joints_px))
    assert error < 0.6 * errors
    assert (mean.sigma_px > seen.sigma_px).all() and (mean.confidence < seen.confidence).all()


def test_a_surer_copy_counts_more():
    seen = Predictor(Spots()).windows([picture()], ["left"])
    off = replace(seen, joints_px=seen.joints_px + 30, sigma_px=10 * seen.sigma_px)
    mean = merged([seen, off], SIZE)
    assert np.abs(mean.joints_px - seen.joints_px).max() < 0.5


def test_a_picture_is_looked_at_carefully_and_a_frame_is_not():
    fed = []
    for find in (HandTracker.picture, lambda tracker, frame: tracker(frame, 0.0)):
        network = Spots()
        find(HandTracker(hands=1, predictor=Predictor(network), detector=lambda _: [_THERE]), picture())
        fed.append(network.seen)
    assert fed[0] >= fed[1] + 10, "five copies, taken for either side"
