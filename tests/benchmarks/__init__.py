"""How fast is the job, against what else could be done? `python -m tests.benchmarks`.

Not part of the tests: machines differ and are noisy, so every figure is a ratio inside one run, of
medians over repetitions in turn.
"""
