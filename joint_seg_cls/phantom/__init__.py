"""Simulated MS and NMOSD cohorts on the MNI152 anatomy, with lesions based on the literature and on real masks."""

from joint_seg_cls.phantom.anatomies import Anatomies, LabelMaps, TemplateAnatomy
from joint_seg_cls.phantom.cohort import write_cohort
from joint_seg_cls.phantom.labelled_skull import LabelledSkull
from joint_seg_cls.phantom.lesion_shapes import LesionShapes, lesion_shapes
from joint_seg_cls.phantom.patient import Patient, Population
from joint_seg_cls.phantom.randomised import RandomisedCohort
from joint_seg_cls.phantom.raster import DrawnLesions
from joint_seg_cls.phantom.recruitment import Balanced, ByGroup, Enrolment, Group, Recruitment
from joint_seg_cls.phantom.scene_store import write_scene_store
from joint_seg_cls.phantom.skull import NoSkull, Shell, Skull
from joint_seg_cls.phantom.subject import Cohort, SimulatedScan, simulate_lesions, simulate_scans

__all__ = [
    "Anatomies",
    "Balanced",
    "ByGroup",
    "Cohort",
    "DrawnLesions",
    "Enrolment",
    "Group",
    "LabelMaps",
    "LabelledSkull",
    "LesionShapes",
    "NoSkull",
    "Patient",
    "Population",
    "RandomisedCohort",
    "Recruitment",
    "Shell",
    "SimulatedScan",
    "Skull",
    "TemplateAnatomy",
    "lesion_shapes",
    "simulate_lesions",
    "simulate_scans",
    "write_cohort",
    "write_scene_store",
]
