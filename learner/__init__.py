"""Learns what its owner calls a motion: windows in, activities out. No hat, no clock, no broker."""
