"""`python -m pyoci`."""

import sys

from pyoci.cli.main import main

sys.exit(main())
