"""Pure functions that explain: bytecode as text, its lines of C, what the verifier says."""
