"""The ways to reach an I2C bus; the contract is `firmware_bridge.bus`."""
