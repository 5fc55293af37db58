"""The command line: the only users of Hydra. Nothing heavy is imported until a command runs."""
