"""Simulated MS and NMOSD cohorts on the MNI152 anatomy."""
