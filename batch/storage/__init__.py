"""Files and objects, without regard to their content: object store, locks, failures."""
