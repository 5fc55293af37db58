"""One file per command: ``commands/<name>.py`` contains a function of the same name."""
