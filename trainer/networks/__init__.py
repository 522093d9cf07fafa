"""The networks, by the name of their flag value.

Each module has `build(image_shape, num_classes)`, a Keras model from images to logits whose
`losses` are its regulariser, and `WEIGHT_DECAY`, which the probe loss of a lookahead uses too.
`head` is the one on embeddings, which a backbone chooses.
"""

from etils import epy

with epy.lazy_imports():
    from trainer.networks import convnet, head, resnet29, resnet50, wrn28_10

NETWORKS = {"convnet": convnet, "resnet29": resnet29, "wrn28-10": wrn28_10, "resnet50": resnet50}
HEAD = "head"


def named(name):
    """The module of a network."""
    return head if name == HEAD else NETWORKS[name]
