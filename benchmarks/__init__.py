"""dlcache beside the limits of the machine and the peers that are installed: `python -m benchmarks`."""
