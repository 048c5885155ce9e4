"""What script/bench does once pyoci is installed."""

from __future__ import annotations

import sys

from benchmark.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
