"""The commands of `budge`, one a file; `deploy.cli` puts them together."""
