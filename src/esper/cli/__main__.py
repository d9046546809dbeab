"""Makes `python -m esper.cli` the same as `esper`."""

from __future__ import annotations

from esper.cli.main import main

if __name__ == "__main__":
    main()
