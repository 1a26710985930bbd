"""By how much the filter trails a moving hand, as the README states it."""

import re
from pathlib import Path

import numpy as np
import pytest

from tracker.filters import OneEuro, PoseFilter

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def lag_ms(one: OneEuro, speed: float, rate_hz: float = 30.0) -> float:
    """By how much a filter trails a value that grows by `speed` units per second."""
    times = np.arange(200) / rate_hz
    filtered = [one(np.asarray(speed * t), t) for t in times]
    return float(1000 * (times[-1] - filtered[-1] / speed))


def test_speed_costs_lag_and_beta_buys_it_back():
    assert lag_ms(OneEuro(1.0, 0.0), 400.0) > 100
    assert lag_ms(OneEuro(1.5, 0.010), 400.0) < 50


@pytest.mark.parametrize(("index", "direction"), [(0, "across"), (2, "in depth")])
def test_the_readme_states_the_lag(index, direction):
    speed = re.search(r"lag .* moving at (\d+) mm/s \|.*?(\d+) ms " + direction, README)
    path = PoseFilter()._path
    lag = lag_ms(OneEuro(path.min_cutoff_hz[index], path.beta[index]), float(speed[1]))
    assert lag == pytest.approx(float(speed[2]), abs=0.5)
