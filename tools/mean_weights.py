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
    except (KeyError, ValueError) as error:
        raise HandposeError(f"{first}, {second}: not the weights of one network ({error})") from error


def average(first: Path, second: Path, out: Path, share: float = 0.5) -> None:
    """Write the mean of `first` and `second`, which counts `share`, to `out`. Raises KeyError or ValueError where the networks differ."""
    draft = io.BytesIO(second.read_bytes())
    with h5py.File(first) as one, h5py.File(draft, "r+") as mean:

        def blend(name: str, values: h5py.Dataset | h5py.Group) -> None:
            if isinstance(values, h5py.Dataset):
                ours, theirs = np.asarray(one[name], np.float32), np.asarray(values, np.float32)
                values[...] = (1 - share) * ours + share * theirs

        mean.visititems(blend)
    atomic_write(out, draft.getvalue())


if __name__ == "__main__":
    raise SystemExit(exit_code("mean_weights", main))
