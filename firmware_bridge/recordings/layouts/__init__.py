"""Published collections, one file a layout; the contract is `firmware_bridge.recordings.layout`."""
