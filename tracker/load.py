"""What a tracker starts from: the networks' weights and the user's hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from handpose.errors import HandposeError
from handpose.skeleton import M0, N_JOINTS, Skeleton
from tracker.detector import Detector
from tracker.recognise import FindHands, Predictor


def load_predictor(path: str | Path | None = None, runtime: str = "auto", device: str = "auto") -> Predictor:
    """Load RegNet, by default the weights of the package. Raises HandposeError where they are missing, altered or another network's."""
    from regnet.predictor import DEFAULT_WEIGHTS
    from regnet.second_look import SecondLookPredictor

    return SecondLookPredictor.from_file(path or DEFAULT_WEIGHTS, runtime, device)


def averaging(predictor: Predictor) -> Predictor:
    """Give a RegNet that looks at each crop several times, for pictures that have no next frame; a stand-in stays as it is."""
    from regnet.averaged import AveragingPredictor
    from regnet.predictor import Predictor as RegNet

    return AveragingPredictor(predictor.network) if isinstance(predictor, RegNet) else predictor


def load_detector(path: str | Path | None = None, runtime: str = "auto", device: str = "auto") -> FindHands:
    """Load the detector, by default the weights of the package; with `runtime` keras it runs on the default ONNX runtime."""
    from tracker.detector import DEFAULT_WEIGHTS

    return Detector.from_file(path or DEFAULT_WEIGHTS, "auto" if runtime == "keras" else runtime, device)


def load_hand(path: str | Path) -> tuple[Skeleton, str]:
    """Read `hand.json`: the user's left hand, "given" by {"scale_mm": ...} or "calibrated" by {"bone_lengths_mm": [21]}.

    Raises HandposeError where it is neither.
    """
    try:
        values = json.loads(Path(path).read_text())
        lengths = np.asarray(values.get("bone_lengths_mm", ()), float)
        scale = float(values.get("scale_mm", 0))
    except OSError as error:
        raise HandposeError(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise HandposeError(f"{path}: not a calibrated hand ({error})") from error
    if (
        lengths.shape == (N_JOINTS,)
        and np.isfinite(lengths).all()
        and (lengths[1:] > 0).all()
        and _is_scale(lengths[M0])
    ):
        return Skeleton.default("left").with_bone_lengths(lengths), "calibrated"
    if lengths.size == 0 and _is_scale(scale):
        return Skeleton.default("left", scale), "given"
    raise HandposeError(
        f'{path}: expected {{"scale_mm": wrist to middle knuckle, 20 to 300}} or {{"bone_lengths_mm": [{N_JOINTS} lengths]}}, all positive, in mm'
    )


def _is_scale(length_mm: float) -> bool:
    return 20 < length_mm < 300  # from the wrist to the middle knuckle


def weights_in_words(*parts: object) -> str:
    """Name the weights behind predictor and detector with their checksums."""
    networks: list[Any] = [getattr(part, "network", None) for part in parts]
    return ", ".join(f"{net.name} sha256:{net.sha256}" for net in networks if getattr(net, "sha256", "")) or "none"
