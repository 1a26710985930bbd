"""`python tracker.py ...` is the console command `tracker`. (The package of the same name wins the import.)"""

import sys

from tracker.cli import main

if __name__ == "__main__":
    sys.exit(main())
