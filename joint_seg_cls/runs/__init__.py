"""One training: its identity and folder, the checks before it begins, and its plan. Hydra is not used here."""
