"""One 3-D network that segments demyelinating lesions on brain FLAIR and tells MS from NMOSD (Huang et al. 2024)."""

__version__ = "0.1.0"
