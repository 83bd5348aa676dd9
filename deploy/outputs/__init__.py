"""Who hears of an activity, one a file; the contract is `deploy.output`."""
