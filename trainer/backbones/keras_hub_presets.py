"""Presets of KerasHub; its import takes seconds, so nothing else imports it.

A preset is a name (dinov2_small), an address (hf://...) or a folder that `save_to_preset` wrote.
What KerasHub's own layers make is loaded again only where it is installed.
"""

import difflib
import importlib.util
from pathlib import Path

import keras

from trainer.backbones import loaded
from trainer.errors import InputError

PACKAGE = "keras-hub==0.32.0"
WITH_IT = "regex rich sentencepiece tokenizers kagglehub huggingface-hub"
SIDE = 224
LICENCE = "not recorded: as the page of the preset says"
# Scale and offset of each channel, for values of 0..255.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGENET = [1 / 255 / s for s in DEVIATION], [-m / s for m, s in zip(MEAN, DEVIATION)]
HALVES = [1 / 127.5] * 3, [-1.0] * 3
OF_FAMILY = {"ViTBackbone": HALVES, "XceptionBackbone": HALVES}
WITH_CLASS_TOKEN = ("DINOV2Backbone", "DINOV3Backbone", "DeiTBackbone", "ViTBackbone")


def check_installed(name):
    """Raises InputError where KerasHub is not installed."""
    if not importlib.util.find_spec("keras_hub"):
        rule = f"needs KerasHub; pip install --no-deps {PACKAGE} && pip install {WITH_IT}"
        raise InputError("--backbone", f"{rule} (it asks for tensorflow-text, not needed)", name)


def library(name):
    """KerasHub, whose import lets Keras load its layers; InputError where it is not installed."""
    check_installed(name)
    import keras_hub

    return keras_hub


def load(preset, side=0):
    """A preset with its preprocessing, pooled to a vector.

    Args:
      preset: Its name, address or local folder.
      side: S, in pixels; 0: that of its image converter or its own, 224 if it takes any.

    Returns:
      `trainer.backbones.loaded.Loaded`.

    Raises:
      InputError: KerasHub is not installed, or the preset cannot be had, read or used.
    """
    name, hub = f"hub:{preset}", library(f"hub:{preset}")
    named = "://" not in str(preset) and not Path(preset).is_dir()
    if named and preset not in hub.models.Backbone.presets:
        close = difflib.get_close_matches(preset, hub.models.Backbone.presets, n=1)
        hint = f"the closest is {close[0]}" if close else "such as dinov2_small"
        raise InputError("--backbone", f"must be a preset of KerasHub; {hint}", name)
    backbone, converter = from_preset(hub, str(preset), side)
    family = type(backbone).__name__
    if len(backbone.inputs) != 1:
        rule = f"must take images and nothing else; {family} takes {len(backbone.inputs)} inputs"
        raise InputError("--backbone", rule, name)
    needed = any(map(is_of_library, backbone.layers))
    side = backbone.inputs[0].shape[1] or side or converter_side(converter) or SIDE
    images = keras.Input((side, side, 3))
    (scale, offset), said = preprocessing(converter, family)
    scaled = keras.layers.Rescaling(scale, offset)(images)
    if needed:
        made = backbone(keras.tree.map_structure(lambda _: scaled, backbone.input))
    else:  # without the class of the backbone Keras alone loads it
        made = keras.Model(backbone.inputs[0], backbone.output, name=backbone.name)(scaled)
    network = keras.Model(images, pooled(made, backbone), name=family)
    source = f"KerasHub {hub.__version__} {family}, preset {Path(preset).name}; images by {said}"
    return loaded.Loaded(
        network,
        source,
        LICENCE,
        loaded.values_hash(network),
        needs=PACKAGE if needed else "",
    )


def from_preset(hub, preset, side):
    """The backbone and its image converter, None where the preset has none."""
    try:
        converter = image_converter(hub, preset)
        size = side or converter_side(converter)
        options = {"image_shape": (size, size, 3)} if size else {}
        return hub.models.Backbone.from_preset(preset, **options), converter
    except Exception as error:  # of each library that it downloads and reads with
        said = loaded.first_line(error)
        if Path(preset).is_dir():
            rule = f"must be a folder as backbone.save_to_preset writes it ({said})"
            if side:
                rule += f"; is --backbone_image_size={side} a size that it can take?"
        else:
            rule = f"needs a preset that can be had ({said}); where there is a network, run"
            rule += f" keras_hub.models.Backbone.from_preset({preset!r}).save_to_preset('folder'),"
            rule += " bring the folder, and give --backbone=hub:folder"
        raise InputError("--backbone", rule, f"hub:{preset}") from error


def image_converter(hub, preset):
    """The image converter of a preset; None where it has none."""
    try:
        return hub.layers.ImageConverter.from_preset(preset)
    except FileNotFoundError:
        return None


def converter_side(converter):
    """Side in pixels of the images that a converter makes; 0 if it leaves their size."""
    return converter.image_size[0] if converter is not None and converter.image_size else 0


def preprocessing(converter, family):
    """(scale, offset) by channel for values of 0..255, and where they come from."""
    if converter is None:
        found = OF_FAMILY.get(family, IMAGENET)
        return found, f"the mean and deviation {'0.5' if found is HALVES else 'of ImageNet'}"
    scale, offset = (
        [float(value) for value in (given if isinstance(given, list | tuple) else [given] * 3)]
        for given in (
            1.0 if converter.scale is None else converter.scale,
            0.0 if converter.offset is None else converter.offset,
        )
    )
    return (scale, offset), "its image converter"


def pooled(made, backbone):
    """A vector from a feature map, by its mean, or from tokens, by the class token or their mean.

    Args:
      made: (B, H, W, D), (B, T, D) or (B, D); a dictionary of stages, of which the last counts.
      backbone: That made it.
    """
    if isinstance(made, dict):
        made = list(made.values())[-1]
    if len(made.shape) == 4:
        return keras.layers.GlobalAveragePooling2D()(made)
    if len(made.shape) == 3:
        class_token = type(backbone).__name__ in WITH_CLASS_TOKEN
        if class_token and getattr(backbone, "use_class_token", True):
            return made[:, 0]
        return keras.layers.GlobalAveragePooling1D()(made)
    return made


def is_of_library(layer):
    """Whether a layer, or one in it, is of KerasHub."""
    own = type(layer).__module__.startswith("keras_hub.")
    return own or any(map(is_of_library, getattr(layer, "layers", [])))
