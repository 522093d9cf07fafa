"""Pretrained networks from images to embeddings, by the name of their flag value.

A name is one of `CATALOGUE`, whose weights are installed with this package; `keras:<Name>`, a
network of keras.applications; or the path of a `.keras` file that maps images to vectors.
TensorFlow is imported when one is loaded.
"""

import os

from etils import epy

from trainer import storage
from trainer.errors import InputError

with epy.lazy_imports():
    from trainer.backbones import efficientnet_lite0

CATALOGUE = {"efficientnet_lite0": efficientnet_lite0}
NONE, KERAS, OWN = "none", "keras:", ".keras"


def name_rule(name):
    """What is wrong with the name of a backbone; "" if nothing."""
    if name == NONE or name in CATALOGUE:
        return ""
    if (name.startswith(KERAS) and name != KERAS) or name.endswith(OWN):
        return ""
    names = ", ".join((NONE, *CATALOGUE))
    return f"must be {names}, {KERAS}<Name> as in keras.applications, or a {OWN} file of your own"


def check(name, weights):
    """Raises InputError for a backbone that cannot be loaded, as far as a look at files tells.

    Args:
      name: Of the backbone.
      weights: Path of a file for it; "" for the usual weights.
    """
    if rule := name_rule(name):
        raise InputError("--backbone", rule, name)
    if weights and not name.startswith(KERAS):
        rule = f"is for --backbone={KERAS}<Name>; --backbone is {name}"
        raise InputError("--backbone_weights", rule, weights)
    own = name if name.endswith(OWN) else ""
    for flag, path in (("backbone", own), ("backbone_weights", weights)):
        if path and not storage.is_remote(path) and not os.path.isfile(path):
            raise InputError(f"--{flag}", "must be a file that is there", path)
