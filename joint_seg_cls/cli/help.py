"""Help of a command: its config groups, keys and examples."""

import re
import string
from collections.abc import Sequence

from joint_seg_cls.config.grammar import quoted
from joint_seg_cls.config.kinds import ANY
from joint_seg_cls.config.resolvers import config_dirs, config_folder
from joint_seg_cls.config.schema import BY_NAME, KEYS, Key


def help_of(command: str, overrides: Sequence[str]) -> str:
    """Return the help of a command; Hydra's own lists the groups of all commands and takes seconds."""
    from hydra import compose, initialize_config_dir
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    own = ",".join(quoted(f"file://{folder.expanduser().resolve()}") for folder in config_dirs(overrides))
    words = [word for word in overrides if "=" in word and not word.startswith("-")]
    parsed = OverridesParser.create().parse_overrides(words)
    keys = [word for word, override in zip(words, parsed, strict=True) if not override.is_sweep_override()]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose(command, [f"hydra.searchpath=[{own}]", *keys], return_hydra_config=True)
    template = str(config.hydra.help.template)
    OmegaConf.set_struct(config, False)
    del config["hydra"]
    text = OmegaConf.to_yaml(config)
    return string.Template(template).safe_substitute(CONFIG=_explained(text) if command == "train" else text)


def _explained(text: str) -> str:
    """Return YAML with a line of help after each key of the schema."""
    lines: list[str] = []
    path: list[str] = []
    for row in text.splitlines():
        if (found := re.match(r"( *)([\w-]+):", row)) is not None:
            path[len(found[1]) // 2 :] = [found[2]]
            key = BY_NAME.get(".".join(path))
            lines.append(row if key is None else f"{row}  # {line(key)}")
        else:
            lines.append(row)
    return "\n".join(lines) + "\n"


def line(key: Key) -> str:
    """Return one line of help: meaning and valid values of a key."""
    kind = "" if key.kind is ANY else f" ({key.kind.description}{', or null' if key.may_be_null else ''})"
    return f"{key.help}{kind}{f', in {key.unit}' if key.unit else ''}"


def key_page() -> str:
    """Return the reference of all keys as Markdown."""
    effects = {"results": "yes", "none": "no", "place": "yes, by fold and seed", "data": "follows the data"}
    lines = [
        "# Keys of `jsc train`",
        "",
        "Generated from `joint_seg_cls/config/schema.py`; `jsc train --help` shows the values. The arguments",
        "of your own classes are further keys. A key that changes no result is part of neither the name nor the",
        "identity of a run.",
        "",
        "| key | value | unit | changes results | |",
        "|---|---|---|---|---|",
    ]
    for key in KEYS:
        if key.name != "hydra":
            value = f"{key.kind.description}{' or null' if key.may_be_null else ''}".replace("|", "\\|")
            effect = effects.get(key.effect, "yes, where it is given")
            lines.append(f"| `{key.name}` | {value} | {key.unit} | {effect} | {key.help} |")
    return "\n".join(lines) + "\n"
