"""A disk that fails, and a device that is taught on it."""
