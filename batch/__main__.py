"""`python -m batch`: the same as the console script `melanoma-batch`."""

import sys

from batch.cli import main

if __name__ == "__main__":
    sys.exit(main())
