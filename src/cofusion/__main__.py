"""`python -m cofusion` is the `cofusion` command."""

import sys

from cofusion.cli import main

if __name__ == "__main__":
    sys.exit(main())
