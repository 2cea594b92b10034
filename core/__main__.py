"""``python -m core COMMAND``."""

import sys

from core.cli.app import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
