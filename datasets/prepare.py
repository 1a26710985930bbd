"""Turn datasets, or a mix of them, into shards that `regnet train --i SHARDS` reads at random.

python datasets/prepare.py --i A B --mix 0.6,0.4 --o shards [--n N] [--workers 2]

Every hand is cut as training would cut it. The same command goes on where one was stopped; the same settings give the same records.
On several machines: --address of a Ray cluster whose machines all see the folders under the same paths.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from handpose import cluster
from handpose.atomic import atomic_write, clear_unfinished, unfinished
from handpose.command import exit_code, require
from handpose.data.options import add_read_argument, check_read
from handpose.errors import HandposeError
from handpose.training.options import parse_mix
from regnet import shards
from regnet.dataset_crops import WINDOW, OnDemand, window_of
from regnet.labelled import Opened, open_split, reader_of

_PER_SHARD, _SHARDS = 1000, 500  # so many shards at most: a reader keeps all open, and systems allow about 1000 files
_DEATHS = 3  # of workers, without a shard finished in between, that are no accident


@dataclass(frozen=True)
class Settings:
    """All that the records depend on: `hands` the sources have, and `counts` of them are taken."""

    sources: list[str]
    hands: list[int]
    counts: list[int]
    split: str | None
    read: list[str]
    per_shard: int
    seed: int
    window_px: int = WINDOW
    quality: int = shards.QUALITY

    def rows(self) -> np.ndarray:
        """Draw what is taken, (N, 2) of source and index, in the order of the records; none is drawn twice before all were once."""
        rng = np.random.default_rng(self.seed)
        chosen = []
        for source, (hands, count) in enumerate(zip(self.hands, self.counts, strict=True)):
            rounds = [rng.permutation(hands) for _ in range(-(-count // hands))]
            indices = np.concatenate([np.zeros(0, int), *rounds])[:count]
            chosen.append(np.column_stack([np.full(count, source), indices]))
        return rng.permutation(np.concatenate(chosen))


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare shards; return the exit code: 0 done or stopped by the user, 1 an error told in one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--i", nargs="+", action="extend", required=True, metavar="DIR", help="folders of datasets, as downloaded")
    add("--mix", help="share of each, as 0.6,0.4 (default: every hand once)")
    add("--o", required=True, type=Path, metavar="DIR", help="folder of the shards")
    add("--n", type=int, help="so many hands (default: as many as the mix has without taking one twice)")
    add("--split", choices=("train", "held_out", "all"), default="train", help="side of the datasets' splits")
    add_read_argument(parser)
    add("--seed", type=int, default=0)
    add("--per-shard", type=int, metavar="N", help="hands in a shard (default: 1000, more where there are very many)")
    cluster.add_arguments(parser)
    args = parser.parse_args(arguments)
    return exit_code("prepare", partial(_run, args))


def _run(args: argparse.Namespace) -> None:
    try:
        prepare(settings_of(args), args.o, args.workers, args.address)
    except KeyboardInterrupt:
        print("prepare: stopped; the same command goes on", file=sys.stderr)


def settings_of(args: argparse.Namespace) -> Settings:
    """Open the datasets and settle what is taken of each. Raises HandposeError where that makes no sense."""
    require(args, n=1, per_shard=1, workers=1, seed=0)
    sources = [str(Path(folder).resolve()) for folder in args.i]
    split = None if args.split == "all" else args.split
    check_read(args.read, [reader_of(Path(folder)) for folder in sources])
    hands = [_checked(folder, split, tuple(args.read)) for folder in sources]
    mix = parse_mix(args.mix, sources) if args.mix else tuple(map(float, hands))
    counts = _counts(hands, mix, args.n)
    per_shard = args.per_shard or max(_PER_SHARD, -(-sum(counts) // _SHARDS))
    return Settings(sources, hands, counts, split, args.read, per_shard, args.seed)


def prepare(settings: Settings, folder: Path, workers: int | None = None, address: str | None = None) -> None:
    """Write the shards that are not there yet, by processes of this machine or on the cluster at `address`.

    Raises HandposeError where the folder holds others, where a picture cannot be read, and as `map_jobs` does.
    """
    rows = settings.rows()
    parts = {f"{number:05d}.arrayrecord": number for number in range(-(-len(rows) // settings.per_shard))}
    manifest = _begin(settings, folder, len(parts))
    pending = {
        name: rows[number * settings.per_shard : (number + 1) * settings.per_shard]
        for name, number in parts.items()
        if name not in manifest["shards"]
    }
    deaths = 0
    while pending:
        left = len(pending)
        try:
            _work_off(pending, settings, folder, workers, address, manifest)
        except BrokenProcessPool:
            deaths = deaths + 1 if len(pending) == left else 1
            if deaths == _DEATHS:
                raise HandposeError(
                    f"{folder}: workers die; try fewer --workers or look at the memory, the same command goes on"
                ) from None
            print("a worker died: its shard is begun anew", file=sys.stderr)
    clear_unfinished(folder)
    written, passed_over = (sum(entry[key] for entry in manifest["shards"].values()) for key in ("records", "empty"))
    size = sum(entry["bytes"] for entry in manifest["shards"].values()) / 1e6
    print(f"{folder}: {written} hands in {len(parts)} shards, {size:.0f} MB")
    if passed_over:
        print(f"{passed_over} of {len(rows)} samples have no joint or mask: passed over")


def write_shard(path: Path, rows: np.ndarray, settings: Settings) -> dict[str, int]:
    """Write the shard of `rows` (N, 2), under another name until it is whole; give its records, bytes and samples passed over."""
    temporary = unfinished(path)
    module = shards.array_record().array_record_module
    writer = module.ArrayRecordWriter(str(temporary), "group_size:1,uncompressed")  # pictures are compressed already
    written = 0
    for source, index in rows.tolist():
        window = window_of(_opened(settings.sources[source], settings.split, tuple(settings.read)), index)
        if window is not None:
            writer.write(shards.encode(window, source, index))
            written += 1
    writer.close()
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    if module.ArrayRecordReader(str(temporary)).num_records() != written:
        raise HandposeError(f"{temporary}: could not be written whole; is the disk full?")
    os.replace(temporary, path)
    return {"records": written, "empty": len(rows) - written, "bytes": path.stat().st_size}


def _work_off(
    pending: dict, settings: Settings, folder: Path, workers: int | None, address: str | None, manifest: dict[str, Any]
) -> None:
    """Have the pending shards written, noting each as it is done."""
    from tqdm import tqdm

    work, jobs = partial(_write_named, folder.resolve(), settings), list(pending.items())
    finished = cluster.map_jobs(work, jobs, address, workers) if address else _map_here(work, jobs, workers)
    bar = tqdm(total=manifest["count"], initial=len(manifest["shards"]), unit="shard", dynamic_ncols=True)
    with bar, closing(finished):
        for (name, _), entry in finished:
            manifest["shards"][name] = entry
            _note(folder, manifest)
            del pending[name]
            bar.update()


def _write_named(folder: Path, settings: Settings, job: tuple[str, np.ndarray]) -> dict[str, int]:
    name, rows = job
    return write_shard(folder / name, rows, settings)


def _map_here(work: Callable, jobs: list, workers: int | None) -> Generator[tuple[Any, Any]]:
    """Do jobs by processes of this machine; give each with its result as it is done.

    Where a job fails, and on Ctrl-C, those under way are done and given before that is raised; no other is begun.
    """
    workers = min(workers or os.cpu_count() or 1, len(jobs))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin_worker) as pool:
        tasks = {pool.submit(work, job): job for job in jobs}
        try:
            for task in as_completed(tasks):
                yield tasks.pop(task), task.result()
        except BaseException as reason:
            pool.shutdown(cancel_futures=True)
            if not isinstance(reason, GeneratorExit):  # there is somebody to take them
                yield from ((job, task.result()) for task, job in tasks.items() if _went_well(task))
            raise


def _went_well(task: Future) -> bool:
    return not task.cancelled() and task.exception() is None


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this worker as soon as its parent is gone, however that went: whoever goes on must be alone."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def _begin(settings: Settings, folder: Path, count: int) -> dict[str, Any]:
    """Give the manifest of a new folder, or of one that was begun with the same settings."""
    wanted = asdict(settings)
    if shards.recognises(folder):
        manifest = shards.read_manifest(folder)
        other = [key for key, value in wanted.items() if manifest["settings"].get(key) != value]
        if other:
            raise HandposeError(f"{folder}: begun with other settings ({', '.join(other)}); choose another --o")
        return manifest
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HandposeError(f"{folder}: not empty, and no shards; choose another --o")
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {"format": shards.FORMAT, "settings": wanted, "count": count, "shards": {}}
    _note(folder, manifest)
    return manifest


def _note(folder: Path, manifest: dict[str, Any]) -> None:
    atomic_write(folder / shards.MANIFEST, json.dumps(manifest, indent=1).encode())


@lru_cache(None)
def _opened(folder: str, split: str | None, read: tuple[str, ...]) -> Opened:
    return open_split(Path(folder), split, read)


def _checked(folder: str, split: str | None, read: tuple[str, ...]) -> int:
    """Count the hands of a dataset. Raises HandposeError where it has none, or none with a joint or a mask."""
    opened = _opened(folder, split, read)
    if opened.reader == "shards":
        raise HandposeError(f"{folder}: shards already; give the dataset itself")
    if not len(opened.samples):
        raise HandposeError(f"{folder}: no labelled hand on this side of its split")
    return len(OnDemand(opened))


def _counts(hands: Sequence[int], mix: Sequence[float], n: int | None) -> list[int]:
    """Share `n` hands among the sources, the largest remainders rounded up; without `n` as many as there are without taking one twice."""
    shares = np.asarray(mix) / sum(mix)
    total = n or int(min(have / share for have, share in zip(hands, shares, strict=True) if share) + 1e-6)
    exact = shares * total
    counts = np.floor(exact + 1e-6).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: total - counts.sum()]] += 1
    return counts.tolist()


if __name__ == "__main__":
    import prepare as script  # by a name under which the workers of a cluster find it too

    sys.exit(script.main())
