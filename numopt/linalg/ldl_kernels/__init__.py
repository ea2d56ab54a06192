"""Kernels of the sparse L D L' factorisation: analysis, row by row, by fronts, with pivoting."""
