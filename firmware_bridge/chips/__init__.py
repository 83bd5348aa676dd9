"""One driver a file; the contract is `firmware_bridge.chip`."""
