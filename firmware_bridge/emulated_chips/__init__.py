"""One register-level twin a file; the contract is `firmware_bridge.emulated_chip`."""
