"""The images that components run in, by the name of what is in them.

The tag is the version and a hash of all that goes into an image: a pipeline names the images that
were built from the code it was compiled with, or images that do not exist. REGISTRY is that of
`make build-images`.
"""

import hashlib
import os
from pathlib import Path

from trainer import __version__

ROOT = Path(__file__).parents[1]
CONTENT = (
    *(f"trainer/**/*.{suffix}" for suffix in ("py", "jinja", "css", "js")),
    "requirements/[cg]pu.txt",
    "docker/Dockerfile",
    "docker/entrypoint.sh",
)


def tag():
    """Such as 0.1.0-3f2a9c01d4e5."""
    content = hashlib.sha256()
    for pattern in CONTENT:
        for file in sorted(ROOT.glob(pattern)):
            content.update(f"{file.relative_to(ROOT)} {file.stat().st_size} ".encode())
            content.update(file.read_bytes())
    return f"{__version__}-{content.hexdigest()[:12]}"


def name(kind):
    """Of the image for `kind`, in the registry that REGISTRY names, if it does."""
    registry = os.environ.get("REGISTRY", "").rstrip("/")
    return f"{registry + '/' if registry else ''}ieg-pipeline/python-{kind}:{tag()}"


DATA, TRAINER, TRAINER_GPU = name("data"), name("trainer"), name("trainer-gpu")
