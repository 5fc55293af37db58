"""Lesions as objects: connected components, shape, and anatomical region."""

from joint_seg_cls.lesions.components import CONNECTIVITY, Connectivity, label_lesions, lesion_table, without_small
from joint_seg_cls.lesions.criteria import Answer, Criterion, criteria
from joint_seg_cls.lesions.features import region_features
from joint_seg_cls.lesions.places import LOCATION_CLASSES, LocationClass, count_by_place, lesion_places
from joint_seg_cls.lesions.regions import Regions, template_regions
from joint_seg_cls.lesions.scan_anatomy import ScanAnatomy, cortex_to_white, scan_anatomy
from joint_seg_cls.lesions.scan_regions import REGION_COLUMNS, REGIONS, Region, lesion_regions, region_key
from joint_seg_cls.lesions.template_map import TemplateMap, template_map

__all__ = [
    "CONNECTIVITY",
    "LOCATION_CLASSES",
    "REGIONS",
    "REGION_COLUMNS",
    "Answer",
    "Connectivity",
    "Criterion",
    "LocationClass",
    "Region",
    "Regions",
    "ScanAnatomy",
    "TemplateMap",
    "cortex_to_white",
    "count_by_place",
    "criteria",
    "label_lesions",
    "lesion_places",
    "lesion_regions",
    "lesion_table",
    "region_features",
    "region_key",
    "scan_anatomy",
    "template_map",
    "template_regions",
    "without_small",
]
