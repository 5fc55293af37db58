"""``jsc COMMAND key=value ...``: choose the command, pass its overrides to Hydra, and report errors in one sentence."""

import difflib
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from joint_seg_cls import __version__
from joint_seg_cls.cli.help import help_of
from joint_seg_cls.cli.source_keys import for_source
from joint_seg_cls.config.grammar import all_readable, flags_first, refuse_undecodable, without_hyphens
from joint_seg_cls.config.resolvers import config_dirs, config_folder
from joint_seg_cls.errors import ConfigError, InputError, disk_errors_named

if TYPE_CHECKING:
    from omegaconf import DictConfig

#: All commands with their line in `jsc --help`. `commands/<name>.py` contains a function of the same name.
COMMANDS = {
    "phantom": "make a simulated MS / NMOSD cohort            out= subjects= seed= phantom=clear|matched|lifelike",
    "cohort": "write the cohort table of any folder          source=table|bids|isbi2015|dicom|pattern path= out=",
    "check": "check a cohort for errors and suspicious scans  cohort= [store=] out=",
    "prepare": "turn a cohort table into a prepared store     cohort= store=",
    "train": "train one fold, test it, write the run folder data.store= fold= seed= ablation= experiment=",
    "status": "show the progress of a study                  study= [watch=true]",
    "report": "turn a study into tables, figures and a page  study= [out=]",
    "evaluate": "test a run on a fold, cohort or checkpoint    run= [cohort= | fold=] [checkpoint=]",
    "predict": "segment lesions, name the disease on new scans input= checkpoint= out=",
    "compare": "list what is new, grown, gone since a visit   input=[earlier,later] findings= [out=]",
    "export": "write a network that runs without jsc        run= | checkpoint= out= [onnx=true]",
}

_HELP = """\
jsc {version}: one network that segments demyelinating lesions on FLAIR and distinguishes MS from NMOSD

usage: jsc COMMAND [key=value ...] [-m] [--cfg job] [--help]

{commands}

  jsc COMMAND --help    its keys, config groups and examples
  -m                    sweep: jsc train -m data.store=store fold=0,1,2,3,4
  --cfg job             print the composed configuration and stop
  --config-dir FOLDER   add your own experiments, ablations and networks
"""

_MOST_LINES = 20


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``jsc`` and exit: 0 success, 1 a bug (with traceback), 2 invalid input, 130 interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _main(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the pipe has ended, such as `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)


def _main(arguments: list[str]) -> None:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_HELP.format(version=__version__, commands="\n".join(f"  {n:9} {line}" for n, line in COMMANDS.items())))
        return
    if arguments[0] in ("-V", "--version"):
        print(f"jsc {__version__}")
        return
    try:
        command, *overrides = arguments
        if command not in COMMANDS:
            close = difflib.get_close_matches(command, COMMANDS, n=1)
            remedy = f"did you mean {close[0]}" if close else "see jsc --help"
            raise ConfigError("jsc", expected=f"a command among {', '.join(COMMANDS)}", found=command, remedy=remedy)
        refuse_undecodable(overrides)
        overrides = flags_first([without_hyphens(word) for word in overrides])
        overrides = [for_source(override) for override in overrides] if command == "cohort" else overrides
        with disk_errors_named():
            _run(command, all_readable(overrides))
    except InputError as error:
        sys.exit(_report(error))
    except KeyboardInterrupt:
        print("\njsc: interrupted; repeat the command to continue", file=sys.stderr)
        sys.exit(130)


def run_command(config: "DictConfig") -> object:
    """Run the command of a composed configuration (at module level, so that launchers can pickle it)."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from joint_seg_cls.config import keys, resolvers

    resolvers.register()  # a launcher may have started this process
    name = str(HydraConfig.get().job.config_name)
    command = getattr(importlib.import_module(f"joint_seg_cls.commands.{name}"), name)
    try:
        with disk_errors_named():
            keys.refuse_wrong_paths(config, name)
            return command(config)
    except InputError as error:
        if HydraConfig.get().mode is not RunMode.RUN:
            raise
        # exit here, since Hydra would print another line
        sys.exit(_report(error))


def _run(command: str, overrides: list[str]) -> None:
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from joint_seg_cls.config import resolvers

    os.environ.setdefault("SQLALCHEMY_SILENCE_UBER_WARNING", "1")  # MONAI imports Optuna 2, which needs SQLAlchemy 1.4
    resolvers.register()
    wants_help = bool({"--help", "-h"} & set(overrides))
    if command == "train" and (not wants_help or any(word.startswith("variant=") for word in overrides)):
        _register_for_sweeps(overrides)
    wants_trace = os.environ.get("HYDRA_FULL_ERROR", "0") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises errors instead of printing them and exiting
    sys.argv = [f"jsc {command}", *overrides]
    try:
        if wants_help:
            print(help_of(command, overrides))
            return
        hydra.main(config_path=str(config_folder()), config_name=command, version_base="1.3")(run_command)()
    except (HydraException, OmegaConfBaseException) as error:
        if wants_trace:
            raise
        raise _plugin_error(error) or _config_error(command, error, overrides) from error
    except (ImportError, RuntimeError, ValueError) as error:  # a missing plugin, or an invalid override
        known = _plugin_error(error)
        if known is None and isinstance(error, ValueError) and _is_hydras(error):
            known = _config_error(command, error, overrides)
        if known is None:
            raise
        raise known from error
    finally:
        os.environ["HYDRA_FULL_ERROR"] = "1" if wants_trace else "0"


def _register_for_sweeps(overrides: list[str]) -> None:
    from joint_seg_cls.config.compose import register_variants
    from joint_seg_cls.sweep.register import register_plugins

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage reports by default
    register_variants(config_dirs(overrides))
    register_plugins()


def _plugin_error(error: Exception) -> ConfigError | None:
    from joint_seg_cls.sweep.register import missing_extra

    extra = missing_extra(str(error))
    if extra is None:
        return None
    return ConfigError(
        "hydra",
        expected="the package of this launcher or sweeper",
        found="no such package",
        remedy=f'pip install "joint_seg_cls[{extra}]"',
    )


def _config_error(command: str, error: Exception, overrides: Sequence[str]) -> ConfigError:
    from joint_seg_cls.config.options import Options, misfit

    known = misfit(overrides, Options(config_dirs(overrides))) if command == "train" else None
    if known := known or _unknown_key(command, error):
        return known
    message = str(error).partition("Config search path")[0]
    if word := _wrong_word(overrides):
        return ConfigError(
            f"jsc {command}",
            expected="key=value, the key of letters a-z, digits and . / @ _ -, and no empty value between commas",
            found=word,
            remedy=f"see jsc {command} --help for the keys and groups",
        )
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    found = "; ".join(lines[:_MOST_LINES]).replace(":;", ":").rstrip(".") or type(error).__name__
    return ConfigError(
        f"jsc {command}",
        expected="a valid configuration",
        found=found,
        remedy=f"see jsc {command} --help for the keys and groups",
    )


def _unknown_key(command: str, error: Exception) -> ConfigError | None:
    """Return the error for an unknown key, from OmegaConf's exception."""
    from difflib import get_close_matches

    from omegaconf import DictConfig
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError

    from joint_seg_cls.config.schema import nearest

    cause = error.__cause__
    if not isinstance(cause, ConfigAttributeError | ConfigKeyError) or not cause.full_key:
        return None
    key = str(cause.full_key)
    if command == "train":
        close, new = nearest(key), f"to add another argument of its class, use +{key}="
    else:
        before, dot, name = key.rpartition(".")
        there = list(map(str, cause.parent_node)) if isinstance(cause.parent_node, DictConfig) else []
        close = next((f"{before}{dot}{like}" for like in get_close_matches(name, there, n=1)), None)
        new = f"see jsc {command} --help for the keys and groups"
    return ConfigError(
        key,
        expected="a key that this configuration has",
        found="no key of this name",
        remedy=f"did you mean {close}? ({new})" if close else new,
    )


def _is_hydras(error: Exception) -> bool:
    """Return whether Hydra itself raised an error, and not a function that it called."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__")).startswith("hydra.")


def _wrong_word(overrides: Sequence[str]) -> str:
    """Return the word that Hydra's grammar refuses, which its error does not name."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    for word in overrides:
        try:
            parser.parse_override(word)
        except HydraException:
            if not word.startswith("-"):
                return word
    return ""


def _report(error: InputError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return error.exit_code
