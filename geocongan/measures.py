"""How real translations look and whether they keep the pose: FID, KID, overlap of silhouettes."""

from __future__ import annotations

import numpy as np

_KID_SUBSETS, _KID_SIZE = 50, 200


def fid(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance of two sets of features (N, C) and (M, C) taken as Gaussians (Heusel et al. 2017).

    The trace of the root of A B is that of the root of R B R, R the root of A: symmetric, so that few pictures do no harm.
    """
    difference = a.mean(0) - b.mean(0)
    spread_a, spread_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(spread_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ spread_b @ root), 0)).sum()
    return float(difference @ difference + np.trace(spread_a + spread_b) - 2 * shared)


def kid(a: np.ndarray, b: np.ndarray, rng: np.random.Generator | None = None) -> float:
    """Kernel distance of two sets of features (N, C) and (M, C): unbiased, cubic kernel, mean over subsets (Binkowski et al. 2018)."""
    rng = rng or np.random.default_rng(0)
    size = min(_KID_SIZE, len(a), len(b))
    chosen = ((rng.choice(len(a), size, False), rng.choice(len(b), size, False)) for _ in range(_KID_SUBSETS))
    return float(np.mean([_squared_distance(a[i], b[j]) for i, j in chosen]))


def mask_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union (N,) of silhouettes (N, ...) bool; 1 where both are empty."""
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    union = (a | b).sum(-1)
    return np.where(union > 0, (a & b).sum(-1) / np.maximum(union, 1), 1.0)


def _squared_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy."""
    n = len(a)
    within = sum((kernel.sum() - np.trace(kernel)) / (n * (n - 1)) for kernel in (_kernel(a, a), _kernel(b, b)))
    return float(within - 2 * _kernel(a, b).mean())


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a @ b.T / a.shape[1] + 1) ** 3
