"""Keys that teach, one file each, as `input.py` says."""
