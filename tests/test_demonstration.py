"""The demo's clip fits its truth, and its report says how far tracks are from it."""

import cv2
import numpy as np
import pytest

from handpose.crop import Crop
from handpose.kinematics import forward_kinematics
from handpose.prediction import Prediction
from handpose.skeleton import M0, WRIST, Skeleton
from tracker import HandTracker, demonstration
from tracker.demonstration import demo_camera, demo_clip, report
from tracker.detector import Detection
from tracker.track_file import frame_row


@pytest.fixture(scope="module")
def truth():
    return demonstration._truth()


def test_the_truth_is_a_pose_of_the_default_hand_seen_by_its_camera(truth):
    skeleton = Skeleton.default(str(truth["side"]))
    joints = np.array([forward_kinematics(skeleton, pose) for pose in truth["poses"].astype(float)])
    np.testing.assert_allclose(joints, truth["joints_mm"], atol=1e-2)
    np.testing.assert_allclose(demo_camera().project(joints), truth["joints_px"], atol=1e-2)


def test_the_clip_shows_the_hand_where_the_truth_says(truth):
    with demo_clip() as clip:
        frames = list(clip)
    assert len(frames) == len(truth["joints_px"])
    assert frames[0].image.shape[1::-1] == demo_camera().size_px
    skin = np.array([frames[0].image[int(v), int(u)] for u, v in truth["joints_px"][0][[1, 5, 9, 13, 17]]], float)
    for frame, joints in zip(frames[::20], truth["joints_px"][::20], strict=True):
        red, _, blue = cv2.GaussianBlur(frame.image, (0, 0), 2)[int(joints[M0, 1]), int(joints[M0, 0])].astype(float)
        assert red - blue > 0.4 * (skin[:, 0] - skin[:, 2]).mean()


def test_tracking_the_clip_by_its_truth_is_exact_to_a_few_millimetres(truth):
    """A RegNet that knows the truth: what is left is the fit's and the filter's own error."""
    numbers = iter(range(len(truth["joints_px"])))

    class Knowing:
        input_size, index = 128, 0

        def __call__(self, image, crops, sides):
            return [self.seen(crop) for crop in crops]

        def seen(self, crop: Crop) -> Prediction:
            mm, px = truth["joints_mm"][self.index].astype(float), truth["joints_px"][self.index].astype(float)
            rel = (mm - mm[M0]) / np.linalg.norm(mm[M0] - mm[WRIST]) @ crop.camera_from_crop
            return Prediction(px, np.full(21, 0.5), rel, np.full(21, 0.95), 0.99, 0.05)

    regnet = Knowing()

    def detector(image):
        joints = truth["joints_px"][regnet.index]
        low, high = joints.min(0), joints.max(0)
        return [Detection((low + high) / 2, float((high - low).max()), 0.0, 0.1, 0.9)]

    tracker = HandTracker(demo_camera(), 1, predictor=regnet, detector=detector)
    rows = []
    with demo_clip() as clip:
        for frame in clip:
            regnet.index = next(numbers)
            rows.append(frame_row(frame.index, frame.time_s, tracker(frame.image, frame.time_s)))
    predicted = np.array([row["hands"][0]["joints_mm"] for row in rows])
    assert np.linalg.norm(predicted - truth["joints_mm"], axis=-1).mean() < 12
    text = report(rows)
    assert "found in 150 of 150 frames, its side right in 100%" in text


def test_the_report_counts_millimetres(truth):
    def row(frame, shift_mm):
        hand = {
            "side": "right",
            "joints_mm": truth["joints_mm"][frame] + [shift_mm, 0, 0],
            "joints_px": truth["joints_px"][frame],
        }
        return {"frame": frame, "hands": [hand]}

    text = report([row(0, 3.0), {"frame": 1, "hands": []}, row(2, 5.0)])
    assert "2 of 3 frames" in text
    assert "MPJPE 4.000 mm (absolute" in text
    assert "MPJPE 0.000 mm (M0 aligned" in text
    assert "2D error 0.00 px" in text
    assert "acceleration error 0.000 mm/s^2 (absolute; 21 joints; n=2)" in report([row(i, 3.0) for i in range(4)])
    assert "no hand found in 1 frames" in report([{"frame": 0, "hands": []}])
