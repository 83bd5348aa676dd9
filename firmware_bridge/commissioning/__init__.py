"""Before a sensor is trusted: found, checked, calibrated, mounted."""
