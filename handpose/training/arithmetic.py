"""The random numbers and the precision that a run computes with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from handpose.training.options import RunConfig

_CPU_INFO = Path("/proc/cpuinfo")
_FAST = ("avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16")  # names of the instructions, as Linux gives them


def set_arithmetic(config: RunConfig, log: Callable[[str], None] = print) -> None:
    """Seed Keras and set a run's precision; say in one line where this machine computes it far slower than float32."""
    import keras

    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.precision)
    if "bfloat16" in config.precision and not computes_bfloat16() and not keras.distribution.list_devices("gpu"):
        log(f"{config.precision}: this processor has no bfloat16 arithmetic, float32 may be 20 times faster here")


def computes_bfloat16(cpu_info: Path = _CPU_INFO) -> bool:
    """Say whether the processor has instructions for bfloat16; yes where that is not known."""
    try:
        words = cpu_info.read_text().split()
    except OSError:
        return True
    return any(name in words for name in _FAST)
