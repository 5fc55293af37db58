"""A process that has imported the heavy packages and forks one process per job: ``python -m ... FILENO MODULE ...``.

A fork starts with torch, Lightning and MONAI imported. In a new interpreter these imports take longer than the first
epoch of many small trainings. The launcher sends each job as one message with two open files, standard input and the
log; the replies are the ids of started processes and the codes of ended ones. Forking is safe here because nothing has
run yet: no second thread, whose locks a fork would copy without their owner, and no CUDA context.

Forks share the memory of the imports until one writes to it. Garbage collection and the end of an interpreter write to
every object, so both leave the imported objects alone.
"""

import atexit
import gc
import importlib
import json
import os
import select
import socket
import sys
import threading
from collections.abc import Sequence

_POLL_S = 0.05
#: Bytes of the longest message.
LONGEST = 1 << 16
_JOB = "joint_seg_cls.sweep.job"


def main(arguments: Sequence[str]) -> int:
    """Import the modules, then fork until the launcher closes its socket; return the exit code, of each fork too."""
    launcher = socket.socket(fileno=int(arguments[0]))
    for module in (_JOB, *arguments[1:]):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    if threading.active_count() > 1:
        return 1  # the launcher starts new interpreters instead
    running: set[int] = set()
    while True:
        readable, _, _ = select.select([launcher], [], [], _POLL_S)
        if readable:
            message, files, _, _ = socket.recv_fds(launcher, LONGEST, 2)
            if not message:
                return 0
            if (pid := os.fork()) == 0:
                launcher.close()
                return _run(**json.loads(message), files=files)
            for file in files:
                os.close(file)
            running.add(pid)
            launcher.send(json.dumps({"started": pid}).encode())
        for pid in list(running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                running.remove(pid)
                launcher.send(json.dumps({"ended": pid, "code": os.waitstatus_to_exitcode(status)}).encode())


def _run(folder: str, environment: dict[str, str], files: Sequence[int]) -> int:
    """Become the process of one job, as :func:`.slots.start_fresh` starts it: own session, files and variables."""
    from joint_seg_cls.sweep import job

    os.setsid()
    standard_input, log = files
    for file, number in ((standard_input, 0), (log, 1), (log, 2)):
        os.dup2(file, number)
    for file in files:
        os.close(file)
    os.environ.update(environment)
    sys.argv = [job.__file__, folder]
    return job.main([folder])


def _leave(code: Sequence[int]) -> None:
    """End this process after all other exit handlers, without deleting its objects."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code[0])


if __name__ == "__main__":
    code = [1]  # unless set below
    atexit.register(_leave, code)  # before the imports of `main`: handlers run in reverse order
    try:
        code[0] = main(sys.argv[1:])
    except SystemExit as error:
        code[0] = error.code if isinstance(error.code, int) else int(error.code is not None)
        raise
