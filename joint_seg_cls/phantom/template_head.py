"""The template's brain as labels."""

from functools import lru_cache

import numpy as np

from joint_seg_cls.lesions import template_regions
from joint_seg_cls.phantom.head import Head
from joint_seg_cls.phantom.tissue import Tissue, is_brain
from joint_seg_cls.scan.grid import bounding_box
from joint_seg_cls.scan.template import load_template


@lru_cache(maxsize=1)
def template_head() -> Head:
    """Return the MNI152 brain, with the dominant tissue of each voxel and no surroundings."""
    template, regions = load_template(1), template_regions(1)
    region = regions.masks
    fluid = 1 - template.white - template.grey
    tissue = np.where(template.white >= template.grey, Tissue.WHITE, Tissue.CORTEX).astype(np.uint8)
    grey = template.grey > template.white
    infratentorial = region["infratentorial"]
    tissue[grey & ~region["cortex"]] = Tissue.DEEP_GREY
    tissue[region["cortex"]] = Tissue.CORTEX
    tissue[region["thalamus"]] = Tissue.DEEP_GREY
    tissue[infratentorial] = Tissue.BRAIN_STEM
    cerebellum = region["cerebellum"]
    tissue[cerebellum] = np.where(template.white[cerebellum] > 0.5, Tissue.CEREBELLAR_WHITE, Tissue.CEREBELLAR_CORTEX)
    tissue[fluid > 0.5] = Tissue.FLUID
    tissue[~template.brain] = Tissue.AIR
    for name in ("lateral", "third", "fourth"):
        tissue[region[f"{name}_ventricle"]] = Tissue[f"{name.upper()}_VENTRICLE"]
    return Head("MNI152", np.ascontiguousarray(np.pad(tissue[bounding_box(is_brain(tissue))], 6)))
