"""HTML pages about runs: each is one file that loads nothing else."""
