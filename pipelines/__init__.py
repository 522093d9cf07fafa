"""The pipelines and how to compile and run them."""

from trainer import interrupts  # noqa: F401, before all that takes time
