"""A backbone and its head as one network, from images in [-1, 1] to logits.

B batch, H W image, S side of the images that the backbone takes, D embedding, C classes.
"""

import functools

import keras
from keras import layers


@keras.saving.register_keras_serializable(package="trainer")
class FrozenStatistics(layers.BatchNormalization):
    """Normalises by its moving statistics, in training too; scale and offset are trained."""

    def call(self, inputs, training=False, mask=None):
        return super().call(inputs, training=False, mask=mask)


def compose(backbone, trained_head, image_shape, side):
    """A flat model with the weights of both.

    Args:
      backbone: Model from images (B, S, S, 3), 0..255, to embeddings (B, D).
      trained_head: Model from embeddings (B, D) to logits (B, C), made by `head.build`.
      image_shape: (H, W, channels) of the images.
      side: Side in pixels to which images are resized; the backbone has to allow it.

    Raises:
      ValueError: It does not.
    """
    images = x = keras.Input(image_shape)
    if image_shape[-1] == 1:
        x = layers.Concatenate(name="grey_to_rgb")([x, x, x])
    if tuple(image_shape[:2]) != (side, side):
        x = layers.Resizing(side, side, name="resized")(x)
    x = layers.Rescaling(127.5, 127.5, name="grey_levels")(x)
    embeddings = at_side(backbone, x, side)
    return keras.Model(images, applied(trained_head, embeddings, ""), name="backbone_and_head")


def at_side(backbone, x, side):
    """The output of a copy of a backbone for images x (B, side, side, 3) of another side than its.

    Images that it resizes within keep their part of the side.
    """
    return applied(backbone, x, "backbone.", side / backbone.input_shape[1])


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
