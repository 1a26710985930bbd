"""Jobs over the workers of a Ray cluster: a lost worker's job is begun anew, none is lost and none is answered twice.

All machines need this package, and the folders they read and write under the same paths, as on a shared disk.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

from handpose.errors import HandposeError

Job = TypeVar("Job")
Result = TypeVar("Result")

_DEATHS = 3  # of workers over one job, that are no accident


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `--address` and `--workers`."""
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="work on this Ray cluster; local starts one here (default: without Ray)"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="jobs at a time (default: one for each core)")


def map_jobs(
    work: Callable[[Job], Result], jobs: Sequence[Job], address: str | None, workers: int | None = None
) -> Generator[tuple[Job, Result]]:
    """Do jobs on a cluster, at most `workers` at a time; give each with its result as it is done.

    `address` is a cluster's, "auto" for the one this machine belongs to, "local" for one that is started here and ends with the jobs, or
    None to do them here and now, one after the other. A job may be begun more than once, so it writes its file under a temporary name and
    renames it. What a job raises is raised here and stops the others. Raises HandposeError where Ray or the cluster is missing, where
    `workers` makes no sense, and where workers die over one job again and again.
    """
    if workers is not None and workers < 1:
        raise HandposeError(f"--workers must be 1 or more, not {workers}")
    if address:
        return _map_on_cluster(work, jobs, address, workers)
    if workers is not None:
        raise HandposeError("--workers is for a cluster; give --address too, local for one on this machine")
    return ((job, work(job)) for job in jobs)


def _map_on_cluster(
    work: Callable[[Job], Result], jobs: Sequence[Job], address: str, workers: int | None
) -> Generator[tuple[Job, Result]]:
    ray = _connect(address, workers)
    try:
        task = ray.remote(num_cpus=1, max_retries=0)(_begin)
        workers = workers or int(ray.cluster_resources()["CPU"])
        waiting, deaths = deque(range(len(jobs))), Counter[int]()
        running: dict[Any, int] = {}
        while waiting or running:
            while waiting and len(running) < workers:
                number = waiting.popleft()
                running[task.remote(work, jobs[number])] = number
            (done,), _ = ray.wait(list(running))
            number = running.pop(done)
            try:
                result = ray.get(done)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except ray.exceptions.RayError as error:
                deaths[number] += 1
                if deaths[number] == _DEATHS:
                    raise HandposeError(
                        f"workers die over one job; look at their memory, the same command goes on ({type(error).__name__})"
                    ) from None
                print("a worker died: its job is begun anew", file=sys.stderr)
                waiting.append(number)
            else:
                yield jobs[number], result
    finally:
        ray.shutdown()


def _connect(address: str, workers: int | None):
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise HandposeError('--address needs Ray: pip install "ganerated-hands[cluster]"') from error

    cores, dashboard = (workers, False) if address == "local" else (None, None)
    try:
        ray.init(
            address, num_cpus=cores, include_dashboard=dashboard, logging_level=logging.ERROR, log_to_driver=False
        )  # fmt: skip
    except Exception as error:  # Ray raises plain ones too
        raise HandposeError(f"--address {address}: no Ray cluster answers ({str(error).splitlines()[0]})") from error
    return ray


def _begin(work: Callable[[Job], Result], job: Job) -> Result:
    """Do a job with one thread, for the other cores have workers of their own."""
    import cv2

    cv2.setNumThreads(1)
    return work(job)
