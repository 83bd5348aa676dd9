"""The phone page: its server, and in `files/` what the browser gets."""
