"""The networks, by the name of their flag value.

Each module has `build(image_shape, num_classes)`, a Keras model from images to logits whose
`losses` are its regulariser, and `WEIGHT_DECAY`, which the probe loss of a lookahead uses too.
`head` is the one on embeddings, which a backbone chooses; `fine_tuned` joins both. Their weight
decay follows from the number of examples.
"""

from etils import epy

with epy.lazy_imports():
    from trainer.networks import convnet, fine_tuned, head, resnet29, resnet50, wrn28_10

NETWORKS = {"convnet": convnet, "resnet29": resnet29, "wrn28-10": wrn28_10, "resnet50": resnet50}
HEAD, FINE_TUNED = "head", "fine-tuned"


def named(name):
    """The module of a network."""
    return {HEAD: head, FINE_TUNED: fine_tuned}.get(name) or NETWORKS[name]
