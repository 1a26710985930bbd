"""What all tests share: the folder of photographs, and quiet libraries."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("seeded", derandomize=True)  # the same cases in every run
settings.load_profile("seeded")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


# Beyond a minute each on two cores.
_LONG = {
    "test_export.py",
    "test_export_shipped.py",
    "test_geocongan_devices.py",
    "test_geocongan_resume.py",
    "test_regnet_overfit.py",
    "test_train.py",
}


def pytest_collection_modifyitems(items):
    """Begin with the longest files, so that neither of two processes is left alone with one at the end."""
    items.sort(key=lambda item: item.path.name not in _LONG)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder `../shared/data` beside the repository, or HANDPOSE_SHARED_DATA; skips where there is none."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HANDPOSE_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no photographs: {folder} is not there")
    return folder


@pytest.fixture(autouse=True, scope="session")
def _hears_ctrl_c():
    """What is started in the background of a shell is deaf to Ctrl-C, which some tests press."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
