"""The start of a command line with the small bundled model: the same job, started sooner."""

SCORE = ("score", "--model", "isic9-plain")
