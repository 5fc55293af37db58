"""One training run: its identity and folder, checks and plan. Independent of Hydra."""
