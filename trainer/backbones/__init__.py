"""Pretrained networks from images to embeddings, by the name of their flag value.

A name is one of `CATALOGUE`, whose weights are installed with this package; `keras:<Name>`, a
network of keras.applications; `hub:<preset>`, a preset of KerasHub by name, address or folder; or
the path of a `.keras` file that maps images to vectors.
TensorFlow is imported when one is loaded.
"""

import os

from etils import epy

from trainer import storage
from trainer.errors import InputError

with epy.lazy_imports():
    from trainer.backbones import efficientnet_lite0, keras_hub_presets

CATALOGUE = {"efficientnet_lite0": efficientnet_lite0}
# Other files of the weights in a preset's folder.
WEIGHTS = ("model.weights.json", "model.safetensors", "model.safetensors.index.json")
NONE, KERAS, HUB, OWN = "none", "keras:", "hub:", ".keras"
AUTO, DEFAULT = "auto", "efficientnet_lite0"  # auto compares the default with none


def sees_two_sizes(name):
    """Whether a backbone of CATALOGUE sees a smaller copy of each image as well."""
    return name in CATALOGUE and hasattr(CATALOGUE[name], "SMALLER")


def name_rule(name):
    """What is wrong with the name of a backbone; "" if nothing."""
    if name == NONE or name in CATALOGUE:
        return ""
    prefixed = name.startswith((KERAS, HUB)) and name not in (KERAS, HUB)
    if prefixed or name.endswith(OWN):
        return ""
    names = ", ".join((NONE, *CATALOGUE))
    rule = f"must be {names}, {KERAS}<Name> as in keras.applications, {HUB}<preset> of KerasHub"
    return f"{rule}, or a {OWN} file of your own"


def place(name):
    """The path in the name of a backbone, of its file or folder; "" if it has none."""
    if not name.startswith(HUB):
        return name if name.endswith(OWN) and not name.startswith(KERAS) else ""
    preset = name.removeprefix(HUB)
    is_path = storage.is_remote(preset) or ("/" in preset and "://" not in preset)
    return preset if is_path or os.path.isdir(preset) else ""


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
    if name.startswith(HUB):
        check_preset(name)
        return
    for flag, path in (("backbone", place(name)), ("backbone_weights", weights)):
        if path and not storage.is_remote(path) and not os.path.isfile(path):
            raise InputError(f"--{flag}", "must be a file that is there", path)


def check_preset(name):
    """Raises InputError for a preset of KerasHub that cannot be loaded, without loading it."""
    folder = place(name)
    if folder and not storage.is_remote(folder):
        if not os.path.isdir(folder):
            rule = f"must name a folder that is there after {HUB}, or a preset of KerasHub"
            raise InputError("--backbone", rule, name)
        for file, others in (("config.json", ()), ("model.weights.h5", WEIGHTS)):
            if not any(os.path.isfile(f"{folder}/{each}") for each in (file, *others)):
                rule = (
                    f"must name a folder as save_to_preset of KerasHub writes it; {file} is missing"
                )
                raise InputError("--backbone", rule, name)
    keras_hub_presets.check_installed(name)
