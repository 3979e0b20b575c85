"""The command line: options and handlers by group. Nothing heavy is imported before it is used."""
