"""Commands beside `score`: check the machine, list runs, prune, rebuild the worklist."""
