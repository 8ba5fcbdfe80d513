"""`python -m edge_ovss` is the command line."""

import sys

from edge_ovss.cli import main

sys.exit(main())
