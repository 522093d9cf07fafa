"""A backbone and its head as one network, from images in [-1, 1] to logits.

B batch, H W image, S side of the images that the backbone takes, D embedding, C classes.
"""

import functools
import math

import keras
from keras import layers

GREY_LEVELS, KEPT = "grey_levels", "kept"  # layers: images, 0..255, and numbers of embeddings


@keras.saving.register_keras_serializable(package="trainer")
class FrozenStatistics(layers.BatchNormalization):
    """Normalises by its moving statistics, in training too; scale and offset are trained."""

    def call(self, inputs, training=False, mask=None):
        return super().call(inputs, training=False, mask=mask)


def compose(backbone, trained_head, image_shape, sides, kept=0):
    """A flat model with the weights of both.

    Args:
      backbone: Model from images (B, S, S, 3), 0..255, to the last numbers of an embedding.
      trained_head: Model from embeddings (B, D) to logits (B, C), made by `head.build`.
      image_shape: (H, W, channels) of the images.
      sides: Sides in pixels to which images are resized, one after the other; the backbone has to
        allow the last one.
      kept: How many numbers of an embedding come before those of the backbone. The model then
        takes vectors of both, see `trainer.data.partly_embedded`.

    Raises:
      ValueError: The backbone does not allow the side.
    """
    seen, images, before = inputs(image_shape, kept)
    x = images
    if image_shape[-1] == 1:
        x = layers.Concatenate(name="grey_to_rgb")([x, x, x])
    first, *others = sides
    x = layers.Rescaling(127.5, 127.5, name=GREY_LEVELS)(resized(x, first))
    for side in others:
        x = resized(x, side)
    embeddings = at_side(backbone, x, x.shape[1])
    if kept:
        embeddings = layers.Concatenate(name="embedding")([before, embeddings])
    return keras.Model(seen, applied(trained_head, embeddings, ""), name="backbone_and_head")


def inputs(image_shape, kept):
    """The input of the model, the images in it, and the numbers of the embedding, if any."""
    if not kept:
        images = keras.Input(image_shape)
        return images, images, None
    pixels = math.prod(image_shape)
    seen = keras.Input((pixels + kept,))
    column = layers.Reshape((pixels + kept, 1), name="column")(seen)
    images = layers.Cropping1D((0, kept), name="pixels")(column)
    before = layers.Cropping1D((pixels, 0), name="numbers")(column)
    images = layers.Reshape(image_shape, name="images")(images)
    return seen, images, layers.Reshape((kept,), name=KEPT)(before)


def resized(x, side):
    if x.shape[1:3] == (side, side):
        return x
    return layers.Resizing(side, side, name=f"resized_to_{side}")(x)


def at_side(backbone, x, side):
    """The output of a copy of a backbone for images x (B, side, side, 3) of another side than its.

    Images that it resizes within keep their part of the side.
    """
    return applied(backbone, x, "backbone.", side / (backbone.input_shape[1] or side))


def applied(network, x, prefix, scale=1.0, copies=None):
    """The output of copies of all layers of a network, with their weights, for the input x.

    Args:
      network: Functional or sequential model; models within it are taken apart as well.
      x: Symbolic tensor; its images may have another side than those of the network.
      prefix: Of the names of the copies.
      scale: Of the sides to which layers resize.
      copies: {layer: its copy}, of those that a model that is called twice shares.
    """
    copies = {} if copies is None else copies

    def call(layer, *args, **kwargs):
        if isinstance(layer, keras.Sequential) or hasattr(layer, "_run_through_graph"):
            return applied(layer, args[0], f"{prefix}{layer.name}.", scale, copies)
        if new := layer not in copies:
            copies[layer] = copy(layer, prefix, scale)
        y = copies[layer](*args, **kwargs)
        if new and getattr(layer, "weights", ()):
            copies[layer].set_weights(layer.get_weights())
        return y

    if isinstance(network, keras.Sequential):
        for layer in network.layers:
            x = call(layer, x)
        return x
    # `keras.models.clone_model` leaves out what was computed before x.
    return network._run_through_graph(x, lambda layer: functools.partial(call, layer))


def copy(layer, prefix, scale):
    """A layer like another one: all of it is trained, but statistics are fixed and nothing drops.

    The head keeps its own ways; its prefix is empty.
    """
    config, made = layer.get_config(), type(layer)
    config["name"] = f"{prefix}{layer.name}"
    if prefix:
        if "trainable" in config:
            config["trainable"] = True
        if isinstance(layer, layers.BatchNormalization):
            made = FrozenStatistics
        if isinstance(layer, layers.Dropout):
            config["rate"] = 0.0
        if isinstance(layer, layers.Resizing):
            config |= {name: max(1, round(scale * config[name])) for name in ("height", "width")}
    return made.from_config(config)
