"""Front doors shaped like SciPy's functions: build a problem, call the core, return a `Result`."""
