"""The pipelines and how to compile and run them."""
