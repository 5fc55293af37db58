"""Lesions as objects: connected components, shape, and anatomical region."""

from joint_seg_cls.lesions.components import CONNECTIVITY, Connectivity, label_lesions, lesion_table, without_small
from joint_seg_cls.lesions.features import region_features
from joint_seg_cls.lesions.places import LOCATION_CLASSES, LocationClass, count_by_place, lesion_places
from joint_seg_cls.lesions.regions import Regions, template_regions

__all__ = [
    "CONNECTIVITY",
    "LOCATION_CLASSES",
    "Connectivity",
    "LocationClass",
    "Regions",
    "count_by_place",
    "label_lesions",
    "lesion_places",
    "lesion_table",
    "region_features",
    "template_regions",
    "without_small",
]
