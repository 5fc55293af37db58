"""A process that has imported everything runs commands in forks of itself, so that a fault meets work and not imports.

It reads one request a line (JSON: ``cwd``, ``words``, ``log``) and answers with the process number, then, when that
process has ended, with its exit status.
"""

import importlib
import json
import os
import signal
import sys


def main() -> int:
    from joint_seg_cls.cli.main import COMMANDS
    from joint_seg_cls.cli.main import main as jsc

    for name in ("lightning", "monai.networks.nets", "nilearn.plotting", "SimpleITK", "hydra"):
        importlib.import_module(name)
    for name in COMMANDS:
        importlib.import_module(f"joint_seg_cls.commands.{name}")
    importlib.import_module("hydra.core.plugins").Plugins.instance()  # looks for plugins, which takes seconds
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        process = os.fork()
        if process == 0:
            return run(jsc, asked)
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return 0


def run(jsc, asked) -> int:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.chdir(asked["cwd"])
    os.environ["JSC_FAULTS"] = asked["cwd"]
    nothing, log = os.open(os.devnull, os.O_RDONLY), os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(nothing, 0)
    for stream in (1, 2):
        os.dup2(log, stream)
    try:
        jsc(asked["words"])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
