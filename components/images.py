"""The images that components run in; the local subprocess runner needs neither."""

from trainer import __version__

DATA = f"ieg-pipeline/python-data:{__version__}"
TRAINER = f"ieg-pipeline/python-trainer:{__version__}"
