"""What `budge doctor` looks at: one file a subject, `check(case)` yields what it finds."""
