"""Average the weights of two runs of one network that began from the same ones: the mean often tests better than either.

usage: python tools/mean_weights.py FIRST.weights.h5 SECOND.weights.h5 --o MEAN.weights.h5 [--share 0.75]

Batch norm's statistics are averaged like everything else: computing them anew changed nothing (docs/LOG.md).
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import h5py
import numpy as np

from handpose.atomic import atomic_write
from handpose.command import exit_code
from handpose.errors import HandposeError


def main() -> None:
    """Write the mean of two files of weights, in the precision of the second; --share is what the second counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs=2, metavar="FILE.weights.h5")
    parser.add_argument("--o", type=Path, required=True, metavar="FILE.weights.h5")
    parser.add_argument("--share", type=float, default=0.5, help="of the second in the mean (default: 0.5)")
    args = parser.parse_args()
    first, second = args.runs
    try:
        average(first, second, args.o, args.share)
    except ValueError as error:
        raise HandposeError(f"{first}, {second}: not the weights of one network ({error})") from error


def average(first: Path, second: Path, out: Path, share: float = 0.5) -> None:
    """Write the mean of `first` and `second`, which counts `share`, to `out`. Raises ValueError where the networks differ."""
    draft = io.BytesIO(second.read_bytes())
    with h5py.File(first) as one, h5py.File(draft, "r+") as mean:
        ours, theirs = _arrays(one), _arrays(mean)
        if {name: values.shape for name, values in ours.items()} != {
            name: values.shape for name, values in theirs.items()
        }:
            raise ValueError("their layers differ")
        for name, values in theirs.items():
            values[...] = (1 - share) * np.asarray(ours[name], np.float32) + share * np.asarray(values, np.float32)
    atomic_write(out, draft.getvalue())


def _arrays(file: h5py.File) -> dict[str, h5py.Dataset]:
    found = {}
    file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    return found


if __name__ == "__main__":
    raise SystemExit(exit_code("mean_weights", main))
