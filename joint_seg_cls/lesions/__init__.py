"""Lesions as objects: connected components, shape, and the anatomical regions they lie in."""

from joint_seg_cls.lesions.regions import Regions, template_regions

__all__ = ["Regions", "template_regions"]
