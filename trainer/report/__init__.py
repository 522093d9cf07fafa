"""HTML pages about runs: each one file, which asks for nothing outside it."""
