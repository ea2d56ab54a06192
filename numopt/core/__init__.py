"""The house: compiled blocks, the one loop, results and input checks."""
