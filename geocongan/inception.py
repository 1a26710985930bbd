"""FID and KID by the Inception features of published figures, through torchmetrics, which fetches that network itself where there is internet."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from handpose.errors import HandposeError

FEATURES = "Inception-v3 (2048, of torchmetrics)"
RESIZED = "bilinear to 299 px"
_BATCH = 32
_SUBSET = 200  # pictures of a KID estimate


def inception_measure(real: np.ndarray) -> Callable[[np.ndarray], tuple[float, float]]:
    """Give the function that tells FID and KID of pictures (N, S, S, 3) uint8 to `real` (M, S, S, 3).

    Raises HandposeError where the extra that brings it is not installed, or its network cannot be had.
    """
    try:
        import torch
        from torchmetrics.image.fid import FrechetInceptionDistance
        from torchmetrics.image.kid import KernelInceptionDistance

        metrics = FrechetInceptionDistance(), KernelInceptionDistance(subset_size=_SUBSET)
    except ImportError as error:
        raise HandposeError(
            '--inception needs torchmetrics: pip install "ganerated-hands[inception]", or leave it out'
        ) from error
    except OSError as error:
        raise HandposeError(f"the Inception network could not be fetched ({error}): leave out --inception") from error

    def show(pictures: np.ndarray, are_real: bool) -> None:
        for start in range(0, len(pictures), _BATCH):
            planes = np.moveaxis(pictures[start : start + _BATCH], -1, 1)
            for metric in metrics:
                metric.update(torch.from_numpy(np.ascontiguousarray(planes)), real=are_real)

    def measure(pictures: np.ndarray) -> tuple[float, float]:
        for metric in metrics:
            metric.reset()
        metrics[1].subset_size = min(_SUBSET, len(real), len(pictures))
        show(real, True)
        show(pictures, False)
        return float(metrics[0].compute()), float(metrics[1].compute()[0])

    return measure
