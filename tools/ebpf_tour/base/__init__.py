"""What all other code uses: errors, text, clock, names. It imports nothing of this package."""
