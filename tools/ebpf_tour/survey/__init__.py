"""What this machine has: the places where a program can be attached, and the checks."""
