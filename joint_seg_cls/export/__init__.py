"""Export of a trained network as a MONAI bundle that runs without this program."""

from joint_seg_cls.export.bundle import Exported, export_bundle, refuse_filled
from joint_seg_cls.export.facts import Facts, facts_of
from joint_seg_cls.export.onnx import require_onnx

__all__ = ["Exported", "Facts", "export_bundle", "facts_of", "refuse_filled", "require_onnx"]
