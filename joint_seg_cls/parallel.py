"""Parallel work on many items in worker processes, with a progress bar or one log line per minute."""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_all_start_methods, get_context, parent_process
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_log = logging.getLogger(__name__)
_LOG_EVERY_S = 60.0

Item = TypeVar("Item")
Result = TypeVar("Result")


def over_processes(
    work: Callable[[Item], Result], items: Sequence[Item], *, workers: int, label: str, share: bool = False
) -> Iterator[tuple[Item, Result | Exception]]:
    """Yield ``(item, result)`` as each is finished, in any order; an exception of ``work`` is yielded as its result.

    ``workers`` 0 or 1 uses this process; otherwise ``work`` and the items must be picklable. If the consumer
    stops early (also by Ctrl-C), items that have not started are dropped.

    Args:
        label: name of the items, for the progress bar.
        share: fork the processes where the system supports it, so that they share loaded data.
    """
    if min(workers, len(items)) <= 1:
        return watched(((item, _caught(work, item)) for item in items), total=len(items), label=label)
    method = "fork" if share and "fork" in get_all_start_methods() else "spawn"
    context = get_context(method)
    pool = ProcessPoolExecutor(min(workers, len(items)), mp_context=context, initializer=_end_with_parent)
    # before the progress bar starts its thread, whose locks a fork would copy
    futures = {pool.submit(_caught, work, item): item for item in items}
    return watched(_finished(pool, futures), total=len(items), label=label)


def mapped(
    work: Callable[[Item], Result], items: Sequence[Item], *, workers: int, label: str, share: bool = False
) -> list[Result]:
    """Return the result for each item, in their order; arguments as in :func:`over_processes`.

    Raises:
        Exception: the first exception of ``work``.
    """
    results: dict[int, Result] = {}
    numbered = list(enumerate(items))
    for (number, _), result in over_processes(
        partial(_of_numbered, work), numbered, workers=workers, label=label, share=share
    ):
        if isinstance(result, Exception):
            raise result
        results[number] = result
    return [results[number] for number in range(len(items))]


def _of_numbered(work: Callable[[Item], Result], numbered: tuple[int, Item]) -> Result:
    return work(numbered[1])


def watched(results: Iterable[Result], *, total: int, label: str) -> Iterator[Result]:
    """Yield from ``results`` and show the progress towards ``total`` and the time left."""
    if not sys.stderr.isatty():
        yield from _logged(results, total, label)
        return
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total)
        for result in results:
            bar.advance(task)
            yield result


def _logged(results: Iterable[Result], total: int, label: str) -> Iterator[Result]:
    start = last = time.monotonic()
    for done, result in enumerate(results, start=1):
        now = time.monotonic()
        if now - last >= _LOG_EVERY_S:
            left_s = (now - start) / done * (total - done)
            _log.info("%s: %d of %d, %.0f min left", label, done, total, left_s / 60)
            last = now
        yield result


def _finished(
    pool: ProcessPoolExecutor, futures: Mapping[Future[Result | Exception], Item]
) -> Iterator[tuple[Item, Result | Exception]]:
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """Make this worker end if its parent is killed; otherwise it would wait for work and keep its memory.

    Ctrl-C in a terminal reaches both; the parent handles it.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # background jobs of a shell ignore it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _caught(work: Callable[[Item], Result], item: Item) -> Result | Exception:
    try:
        return work(item)
    except Exception as error:  # noqa: BLE001 - returned to the caller, which decides which failures to expect
        return error
