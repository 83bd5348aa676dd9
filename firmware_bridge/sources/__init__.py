"""Where rows come from, one a file; the contract is `firmware_bridge.source`."""
