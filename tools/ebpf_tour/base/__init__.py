"""What everything stands on: errors, text, clock, names. It imports nothing of this package."""
