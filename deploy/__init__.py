"""What runs: the line from a source to the people who listen, and the button back."""
