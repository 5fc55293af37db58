"""Sweeps: the study, the sweepers, and the launcher for one machine."""
