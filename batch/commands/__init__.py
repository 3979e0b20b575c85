"""The command line: options and handlers by group. Heavy libraries are imported when needed."""
