"""Recordings in files; the contract is `firmware_bridge.recording`."""
