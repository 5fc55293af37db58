"""One file a command: ``commands/<name>.py`` holds a function of the same name."""
