"""The schema of the training configuration: type, range, unit, effect on results and one line of help of every key.

Arguments of a user's classes are not listed: Hydra passes them on, and the class checks them.
"""

import difflib
import re
from dataclasses import dataclass
from typing import Any, Literal, final

from joint_seg_cls.config.kinds import (
    ANY,
    FLAG,
    FOLD,
    MONITORED,
    NAME,
    NAMES,
    PATCH,
    PATH,
    SHARE,
    SIZES,
    TABLES,
    TEXT,
    Kind,
    choice,
    number,
    whole,
)

Effect = Literal["results", "none", "place", "data", "machine"]


@final
@dataclass(frozen=True)
class Key:
    """One key of the configuration.

    Args:
        effect: ``results``; ``none``; ``place`` (fold and seed, part of the run folder's name); ``data`` (set from the
            data); or ``machine`` (the default depends on the machine).
        may_be_null: whether null is valid.
        is_checked: whether an invalid value is refused here, and not by the class that receives it.
        is_share: whether an integer is a count and a float a share, so that 1 and 1.0 differ.
    """

    name: str
    kind: Kind
    help: str
    unit: str = ""
    effect: Effect = "results"
    is_path: bool = False
    may_be_null: bool = False
    is_checked: bool = False
    is_share: bool = False

    def fault(self, value: Any) -> str | None:
        """Return what is expected instead of ``value``; None if the value is valid."""
        if value is None:
            return None if self.may_be_null else "a value"
        return None if self.kind.accepts(value) else self.kind.description


KEYS = (
    Key("seed", whole(0, 2**32 - 1), "seed of initial weights, order of cases and augmentation", effect="place", is_checked=True),
    Key("fold", FOLD, "the fold that is tested", effect="place", is_checked=True),
    Key("runs", PATH, "folder of the runs", effect="none", is_path=True),
    Key("collection", NAME, "folder of the runs of one store; by default the store's name", effect="none", is_checked=True),
    Key("study", NAME, "the study that this run belongs to", effect="none", may_be_null=True, is_checked=True),
    Key("tables", TABLES, "the paper's tables that the study covers", effect="none", is_checked=True),
    Key("evaluate", FLAG, "test the fold after training", effect="none", is_checked=True),
    Key("init_from", PATH, "weights to start from: a checkpoint, a run folder, or pretrained", is_path=True, may_be_null=True),
    Key("lesion_threshold", number(0.0, 1.0), "probability at or above which a voxel is a lesion", is_checked=True),
    Key("window", PATCH, "patch size of predictions, for a segmentation trained on patches; null: the whole image", unit="voxels", may_be_null=True, is_checked=True),
    Key("accept", NAMES, "checks whose errors do not stop the training, or code, or trained_on_test", effect="none"),
    Key("trust", NAMES, "further packages whose classes a checkpoint may use", effect="none"),
    # ------------------------------------------------------------------------------------------------------ protocol
    Key("protocol.name", TEXT, "name of the protocol"),
    Key("protocol.folds", choice("random", "stratified", "grouped", "strict"), "how folds are generated"),
    Key("protocol.monitor", MONITORED, "the value that a plateau schedule monitors", is_checked=True),
    Key("protocol.weights", choice("best", "last"), "the weights that are tested", is_checked=True),
    # ---------------------------------------------------------------------------------------------------------- data
    Key("data.store", PATH, "the prepared store", effect="none", is_path=True),
    Key("data.fold", FOLD, "follows fold"),
    Key("data.seed", whole(), "follows seed"),
    Key("data.validation_fraction", number(), "share of the training subjects used for validation", is_checked=True),
    Key("data.batch_size", whole(1), "scans in a batch", is_checked=True),
    Key("data.workers", whole(0, 1024), "loader processes; null: by the cores that are idle at the start, at most 8", effect="none", may_be_null=True, is_checked=True),
    Key("data.cache", FLAG, "keep the scans in memory", effect="none"),
    Key("data.folds.kind", choice("random", "stratified", "grouped", "strict"), "how folds are generated"),
    Key("data.folds.count", whole(), "number of folds", is_checked=True),
    Key("data.folds.seed", whole(), "seed of the folds", is_checked=True),
    Key("data.folds.held_out", ANY, "share of the subjects, or a column and its value, tested by fold=held_out", may_be_null=True),
    Key("data.folds.column", TEXT, "column of the cohort table; each of its values is a fold"),
    Key("data.folds.path", PATH, "the split file; its content changes results, its path does not", effect="none", is_path=True, may_be_null=True),
    Key("data.folds.allow", NAMES, "problems of a split file to accept", effect="none"),
    Key("data.augmentation.flip_probability", number(least=0.0), "probability of a flip along each axis"),
    Key("data.augmentation.rotation_probability", number(least=0.0), "probability of a rotation"),
    Key("data.augmentation.rotation_degrees", number(least=0.0), "largest rotation", unit="degrees"),
    Key("data.augmentation.spacing_mm", number(0.0), "voxel size of the simulated images", unit="mm"),
    Key("data.augmentation.patch", SIZES, "size of a patch; null for the whole grid", unit="voxels", may_be_null=True),
    Key("data.augmentation.transforms", ANY, "MONAI dictionary transforms, in this order"),
    Key("data.augmentation.mirrored", number(least=0.0), "probability of mirroring left and right"),
    # -------------------------------------------------------------------------------------------------------- network
    Key("network.image_size", ANY, "set to that of the store", unit="voxels", effect="data"),
    Key("network.in_channels", whole(1), "set to the number of modalities", effect="data"),
    Key("network.classes", whole(1), "set to the number of diseases", effect="data"),
    Key("network.channels", whole(1), "width of the finest features", is_checked=True),
    Key("network.sharing.heads", whole(1), "attention heads of the global branch"),
    Key("network.sharing.embedding_width", whole(1), "features of a token of the global branch", may_be_null=True),
    Key("network.sharing.segmentation_local", number(0.0, 1.0), "initial share of the local branch in the segmentation"),
    Key("network.sharing.classification_local", number(0.0, 1.0), "initial share of the local branch in the classification"),
    Key("network.segmentation.output_bias", number(), "initial bias of the lesion maps"),
    Key("network.segmentation.image_channels", whole(), "channels of the image joined to the finest features"),
    Key("network.guidance.attention", choice("sigmoid", "softmax"), "gate of the dot product"),
    Key("network.guidance.detach", FLAG, "stop gradients of the classifier at the lesion map"),
    Key("network.guidance.start", choice("random", "lesions"), "initial gates"),
    # --------------------------------------------------------------------------------------------------------- widths
    Key("width.channels", whole(1), "width of the joint network; other widths are multiples", is_checked=True),
    Key("width.levels", SIZES, "channels of the UNets by level"),
    Key("width.resnet", number(0.0), "width of the ResNets, as a share of the published width"),
    Key("width.output_bias", number(), "initial bias of the lesion maps", is_checked=True),
    Key("width.segmentation_local", number(0.0, 1.0), "initial share of the local branch in the segmentation"),
    Key("width.classification_local", number(0.0, 1.0), "initial share of the local branch in the classification"),
    Key("width.guidance", choice("random", "lesions"), "initial gates of the guidance"),
    # ----------------------------------------------------------------------------------------------------------- loss
    Key("loss.segmentation_weight", number(least=0.0), "weight of the term", is_checked=True),
    Key("loss.classification_weight", number(least=0.0), "weight of the term", is_checked=True),
    Key("loss.cross_task_weight", number(least=0.0), "weight of the term", is_checked=True),
    Key("loss.segmentation.leave_out_empty", FLAG, "leave scans without lesions out of the mean"),
    Key("loss.segmentation.over_batch", FLAG, "one Dice over all scans of a batch"),
    Key("loss.classification.class_weights", SIZES, "one positive weight per class", may_be_null=True),
    Key("loss.cross_task.eta_order", choice("blocks", "reversed"), "which scale has the weight 0.5"),
    Key("loss.cross_task.location", choice("linear", "sigmoid", "relu_minmax"), "how location maps are scaled"),
    Key("loss.cross_task.stop_gradient", choice("none", "segmentation", "location"), "the side without gradients"),
    # --------------------------------------------------------------------------------------- optimiser and schedule
    Key("optimizer.lr", number(least=0.0), "learning rate"),
    Key("optimizer.weight_decay", number(least=0.0), "weight decay of all weights"),
    Key("scheduler.interval", choice("epoch", "step"), "unit of the schedule's updates", is_checked=True),
    Key("scheduler.frequency", whole(1), "intervals between updates", is_checked=True),
    Key("scheduler.factor", number(), "factor of the learning rate"),
    Key("scheduler.patience", whole(), "epochs without improvement before the rate falls", unit="epochs"),
    Key("scheduler.threshold", number(least=0.0), "smallest improvement"),
    Key("scheduler.mode", choice("min", "max"), "direction in which protocol.monitor improves"),
    Key("scheduler.T_max", whole(1), "length of half a cosine", unit="intervals"),
    Key("scheduler.max_lr", number(0.0), "highest rate of the cycle"),
    Key("scheduler.total_steps", whole(1), "length of the cycle; null: the whole training", unit="steps", may_be_null=True),
    Key("scheduler.total_iters", whole(), "length of a constant schedule, or of a warm-up", unit="intervals"),
    Key("scheduler.start_factor", number(0.0), "initial share of the rate in a warm-up"),
    Key("scheduler.then", ANY, "the schedule after the warm-up"),
    Key("scheduler.then.T_max", whole(1), "length of half a cosine", unit="intervals"),
    # --------------------------------------------------------------------------------------------------------- trainer
    Key("trainer.max_epochs", whole(1), "length of the training", unit="epochs", may_be_null=True, is_checked=True),
    Key("trainer.accelerator", TEXT, "auto, cpu, gpu or another of Lightning", effect="none"),
    Key("trainer.devices", ANY, "number or list of devices"),
    Key("trainer.precision", TEXT, "by default bf16-mixed on GPUs that have it", effect="machine"),
    Key("trainer.deterministic", ANY, "true, false or warn"),
    Key("trainer.limit_train_batches", SHARE, "batches of an epoch", may_be_null=True, is_share=True),
    Key("trainer.limit_val_batches", SHARE, "batches of a validation", may_be_null=True, is_share=True),
    Key("trainer.limit_test_batches", SHARE, "as limit_val_batches", may_be_null=True, is_share=True),
    Key("trainer.limit_predict_batches", SHARE, "as limit_val_batches", may_be_null=True, is_share=True),
    Key("trainer.overfit_batches", SHARE, "train and validate on the same batches", is_share=True),
    Key("trainer.val_check_interval", SHARE, "batches between validations", may_be_null=True, is_share=True),
    Key("trainer.check_val_every_n_epoch", whole(1), "epochs between validations", unit="epochs", may_be_null=True),
    Key("trainer.gradient_clip_val", number(least=0.0), "largest norm of the gradient", may_be_null=True),
    Key("trainer.num_sanity_val_steps", whole(), "validation batches before the first epoch"),
    Key("trainer.use_distributed_sampler", FLAG, "false: the data module's sampler distributes the scans"),
    Key("trainer.callbacks", ANY, "callbacks in addition to those of callbacks/", may_be_null=True),
    Key("trainer.enable_progress_bar", FLAG, "Lightning's own bar", effect="none"),
    Key("trainer.enable_model_summary", FLAG, "Lightning's table of layers", effect="none"),
    Key("trainer.log_every_n_steps", whole(1), "of Lightning's loggers", effect="none"),
    Key("trainer.profiler", TEXT, "of Lightning", effect="none", may_be_null=True),
    Key("trainer.logger", ANY, "use tracking= instead", effect="none", may_be_null=True),
    Key("trainer.default_root_dir", ANY, "set to the run folder", effect="none", may_be_null=True),
    # --------------------------------------------------------------------------------------- callbacks and trackers
    Key("callbacks.step_cost", ANY, "logs seconds per step and GPU memory", effect="none", may_be_null=True),
    Key("callbacks.progress", ANY, "a bar on a terminal, a line per minute elsewhere", effect="none", may_be_null=True),
    Key("tracking", ANY, "a tracking service, in addition to metrics.csv", effect="none"),
    Key("tracking.project", TEXT, "of Weights & Biases", effect="none"),
    Key("tracking.entity", TEXT, "user or team of Weights & Biases", effect="none", may_be_null=True),
    Key("tracking.mode", choice("offline", "online", "disabled"), "when Weights & Biases uploads", effect="none"),
    Key("tracking.experiment", TEXT, "of MLflow", effect="none"),
    Key("tracking.uri", TEXT, "server or folder of MLflow", effect="none", may_be_null=True),
    Key("tracking.upload", choice("best", "last"), "weights to upload at the end", effect="none", may_be_null=True),
    Key("tracking.show_machine", FLAG, "let Weights & Biases record host, packages and system metrics", effect="none"),
    Key("tracking.panel.cases", whole(), "validation cases that are drawn", effect="none"),
    Key("tracking.panel.every_epochs", whole(1), "how often they are drawn", unit="epochs", effect="none"),
    Key("hydra", ANY, "Hydra's own", effect="none"),
)  # fmt: skip
BY_NAME = {key.name: key for key in KEYS}
#: Keys whose default is known only where the run is trained (a cluster's login node may have no GPU).
OF_THE_MACHINE = tuple(key.name for key in KEYS if key.effect == "machine")
#: Keys that are set from the data; other values are refused.
OF_THE_DATA = tuple(key.name for key in KEYS if key.effect == "data")
#: Keys of paths that affect a run; they are made absolute before it starts.
PATHS = tuple(key.name for key in KEYS if key.is_path and key.name != "runs")
#: Keys where an integer is a number of batches and a float a share: 1 differs from 1.0.
SHARES = tuple(key.name for key in KEYS if key.is_share)
#: Keys of all commands whose values are paths or lists of paths.
PATH_KEYS = (
    *("out", "path", "cohort", "store", "input", "findings", "brain_mask", "checkpoint", "run"),
    *(key.name for key in KEYS if key.is_path),
)
#: Keys of all commands whose values are names with arbitrary letters.
NAME_KEYS = ("name", *(key.name for key in KEYS if key.kind is NAME))
#: Parts of the configuration whose keys are all listed; keys of other parts are arguments of classes.
CLOSED = ("", "protocol", "width")


def changes_result(name: str) -> bool:
    """Return whether a key or group may change results; unlisted keys may."""
    parts = re.split(r"[./]", name)
    above = (".".join(parts[: length + 1]) for length in range(len(parts)))
    return not any(each in BY_NAME and BY_NAME[each].effect == "none" for each in above)


def is_named(name: str) -> bool:
    """Return whether a key is part of a variant's name."""
    is_elsewhere = name in BY_NAME and BY_NAME[name].effect in ("place", "data")
    return changes_result(name) and not is_elsewhere


def keys_of(part: str) -> list[str]:
    """Return the valid keys of a closed part of the configuration."""
    prefix = f"{part}." if part else ""
    return list(dict.fromkeys(key.name[len(prefix) :].split(".")[0] for key in KEYS if key.name.startswith(prefix)))


def nearest(name: str) -> str | None:
    """Return the key most similar to ``name``."""
    parts = {".".join(key.name.split(".")[: length + 1]) for key in KEYS for length in range(key.name.count(".") + 1)}
    parts -= {name}
    same_part = [each for each in parts if each.rpartition(".")[0] == name.rpartition(".")[0]]
    return next(
        iter(difflib.get_close_matches(name, same_part, n=1) or difflib.get_close_matches(name, parts, n=1)), None
    )
