"""Learners of one contract, one a file; the contract is `learner.classifier`."""
