"""What a run computes with: its seed, its precision, and a line where the processor has no such arithmetic."""

import keras
import pytest

from handpose.training import arithmetic
from handpose.training.options import RunConfig

AVX2 = "flags\t\t: fpu sse4_2 avx avx2 fma\n"


@pytest.mark.parametrize(("flags", "able"), [(AVX2, False), (AVX2[:-1] + " avx512f avx512_bf16\n", True)])
def test_processors_tell_whether_they_compute_bfloat16(tmp_path, flags, able):
    (tmp_path / "cpuinfo").write_text(flags)
    assert arithmetic.computes_bfloat16(tmp_path / "cpuinfo") is able
    assert arithmetic.computes_bfloat16(tmp_path / "missing"), "not known: nothing is said"


@pytest.mark.parametrize(("precision", "told"), [("float32", 0), ("mixed_bfloat16", 1)])
def test_slow_precision_is_told_in_one_line(precision, told, monkeypatch):
    monkeypatch.setattr(arithmetic, "computes_bfloat16", lambda: False)
    monkeypatch.setattr(keras.distribution, "list_devices", lambda kind: [])
    before, lines = keras.config.dtype_policy(), []
    try:
        arithmetic.set_arithmetic(RunConfig(sources=(), mix=(), seed=3, precision=precision), lines.append)
        assert keras.config.dtype_policy().name == precision
        first = keras.random.uniform((2,))
        arithmetic.set_arithmetic(RunConfig(sources=(), mix=(), seed=3, precision=precision), lines.append)
        assert (keras.ops.convert_to_numpy(keras.random.uniform((2,)) == first)).all(), "seeded"
    finally:
        keras.config.set_dtype_policy(before)
    assert len(lines) == 2 * told
    assert all("float32 may be" in line and "\n" not in line for line in lines)
