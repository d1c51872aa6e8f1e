"""The command `dlcache`, also `python -m dlcache`. Needs the extra `dlcache[cli]`; docs/lifecycle.md has its page."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process, and exit with its code."""
    try:
        from ._cli_app import app
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.split(".")[0] not in ("typer", "rich", "click"):
            raise
        sys.exit(f"The command line of dlcache needs {missing.name}: pip install 'dlcache[cli]'")
    app()


if __name__ == "__main__":
    main()
