"""Help text and reference of all keys of the training configuration, generated from the schema."""

from joint_seg_cls.config.kinds import ANY
from joint_seg_cls.config.schema import KEYS, Key


def line(key: Key) -> str:
    """Return one line of help: meaning and valid values of a key."""
    kind = "" if key.kind is ANY else f" ({key.kind.description}{', or null' if key.may_be_null else ''})"
    return f"{key.help}{kind}{f', in {key.unit}' if key.unit else ''}"


def page() -> str:
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
