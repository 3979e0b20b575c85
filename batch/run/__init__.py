"""One run of `score`, from plan to publication."""
