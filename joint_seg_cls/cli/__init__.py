"""The command line: argument words, help and exit codes. Nothing heavy is imported until a command runs."""
