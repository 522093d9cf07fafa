"""A loaded backbone, whatever it was loaded from."""

import hashlib
from dataclasses import dataclass

import keras
import numpy as np

from trainer.errors import InputError

FEATURES = "features"  # name of the layer that sees both sizes, of a network that sees two


@dataclass(frozen=True)
class Loaded:
    """A network with where it comes from.

    Attributes:
      network: From images (B, S, S, 3), 0..255, to embeddings (B, D).
      source: Where the weights come from.
      licence: Of the weights.
      sha256: Of the file of the weights; of their values where a library found them.
      needs: Package without which Keras cannot load the network; "" if it can.
      smaller_side: Side of the smaller copy of the image, of a network that sees two sizes; the
        last numbers of the embedding are of that. 0 for others.
    """

    network: keras.Model
    source: str
    licence: str
    sha256: str
    needs: str = ""
    smaller_side: int = 0

    @property
    def facts(self):
        """Entries of the manifest; those that mean nothing for this network are left out."""
        found = {
            "source": self.source,
            "licence": self.licence,
            "sha256": self.sha256,
            "image_side": self.network.input_shape[1],
            "embedding_size": self.network.output_shape[1],
        }
        if self.needs:
            found["needs"] = self.needs
        if self.smaller_side:
            of_copy = self.network.get_layer(FEATURES).output_shape[1]
            found |= {
                "smaller_side": self.smaller_side,
                "kept_size": found["embedding_size"] - of_copy,
            }
        return found


def check(network, name):
    """Raises InputError unless a network maps images, 0..255, to finite vectors.

    Args:
      network: Any Keras model.
      name: As the user wrote it.
    """
    shape = getattr(network, "input_shape", None)
    named = isinstance(getattr(network, "input", None), dict)
    if named or not isinstance(shape, tuple) or len(shape) != 4 or shape[-1] != 3:
        rule = "must take images (B, S, S, 3) and nothing else"
        raise InputError("--backbone", f"{rule}; its input is {shape}", name)
    if len(set(shape[1:3])) > 1 or None in shape[1:3]:
        rule = "must take square images of one size"
        raise InputError("--backbone", f"{rule}; its input is {shape}", name)
    made, named = network.output_shape, isinstance(network.output, dict)
    if named or not isinstance(made, tuple) or len(made) != 2 or not made[1]:
        rule = "must give a vector (B, D) for each image; keras.layers.GlobalAveragePooling2D makes"
        raise InputError("--backbone", f"{rule} one of a feature map; its output is {made}", name)
    images = np.random.default_rng(0).integers(256, size=(2, *shape[1:])).astype(np.float32)
    with np.errstate(over="ignore"):
        found = network.predict_on_batch(images).astype(np.float16)
    if not np.isfinite(found).all():
        rule = "must give finite numbers below 65,504 for images of 0..255"
        raise InputError("--backbone", rule, name)


def file_hash(path):
    """SHA-256 of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def values_hash(network):
    """SHA-256 of the values of all weights, in the order of the layers."""
    content = hashlib.sha256()
    for values in network.get_weights():
        content.update(values.tobytes())
    return content.hexdigest()


def first_line(error):
    """What an error of a library says, in one line."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
