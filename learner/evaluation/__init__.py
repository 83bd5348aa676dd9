"""How good a learner is, measured so that anybody can repeat it. Knows arrays, no files."""
