"""The lag that the README states is the filter's."""

import re
from pathlib import Path

import pytest

from tracker.filters import OneEuro, PoseFilter, lag_ms

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("index", "direction"), [(0, "across"), (2, "in depth")])
def test_the_readme_states_the_lag(index, direction):
    speed = re.search(r"lag .* moving at (\d+) mm/s \|.*?(\d+) ms " + direction, README)
    path = PoseFilter()._path
    lag = lag_ms(OneEuro(path.min_cutoff_hz[index], path.beta[index]), float(speed[1]))
    assert lag == pytest.approx(float(speed[2]), abs=0.5)
