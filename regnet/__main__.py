"""`python -m regnet`, the same as the command `regnet`."""

import sys

from regnet.cli import main

sys.exit(main())
