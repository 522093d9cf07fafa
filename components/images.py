"""The images that components run in: one for CPUs, one for GPUs.

The tag is the version and a hash of everything that goes into an image. So a pipeline names images
of the code that it was compiled from, or images that do not exist. REGISTRY is the same as for
`make build-images`.
"""

import hashlib
import os
from pathlib import Path

from trainer import __version__
from trainer.errors import InputError

ROOT = Path(__file__).parents[1]
CONTENT = (
    *(f"trainer/**/*.{suffix}" for suffix in ("py", "jinja", "css", "js")),
    "requirements/[cg]pu.txt",
    "docker/Dockerfile",
    "docker/entrypoint.sh",
)


CHECKOUT = ROOT / "docker" / "Dockerfile"


def tag():
    """Such as 0.1.0-3f2a9c01d4e5; 0.1.0-installed where the files of an image are not there."""
    if not CHECKOUT.is_file():
        return f"{__version__}-installed"
    content = hashlib.sha256()
    for pattern in CONTENT:
        for file in sorted(ROOT.glob(pattern)):
            content.update(f"{file.relative_to(ROOT)} {file.stat().st_size} ".encode())
            content.update(file.read_bytes())
    return f"{__version__}-{content.hexdigest()[:12]}"


def check():
    """Raises InputError for an installed package, which cannot name its images."""
    if not CHECKOUT.is_file():
        rule = "must exist to name the images of a cluster; compile in a checkout of the project"
        raise InputError("docker/Dockerfile", rule, str(ROOT))


def name(kind):
    """The name of the image, in the registry REGISTRY if it is set."""
    registry = os.environ.get("REGISTRY", "").rstrip("/")
    return f"{registry + '/' if registry else ''}ieg-pipeline/{kind}:{tag()}"


TRAINER, TRAINER_GPU = name("trainer"), name("trainer-gpu")
