"""Images with a part of their embeddings, for a network of which a part is fine-tuned.

Each image is one vector: the pixels of its view, then the first numbers of its embedding, which the
frozen part has made. So a method blends and chooses both as one. B batch, H W image, E numbers.
"""

import tensorflow as tf

from trainer import artifacts


def kept_size(embeddings_path):
    """E; 0 where the whole backbone is fine-tuned, or there are no embeddings."""
    if not embeddings_path:
        return 0
    made = artifacts.read(embeddings_path, artifacts.EMBEDDINGS)
    return made["backbone"].get("kept_size", 0)


def join(images, numbers):
    """Vectors (B, H W channels + E), of images (B, H, W, channels) and numbers (B, E)."""
    return tf.concat([tf.reshape(images, [tf.shape(images)[0], -1]), numbers], axis=1)


class PartlyEmbeddedImages:
    """The views of `trainer.data.views`, each with numbers of a cached view.

    Args:
      images: `trainer.data.views.WholeImages` or `Crops`.
      embeddings: `trainer.data.embedded.EmbeddedImages` of the same images, of E numbers.
    """

    def __init__(self, images, embeddings):
        self.images, self.embeddings = images, embeddings

    def weak(self, positions, seed):
        """A weak view of each image: float32 (B, H W channels + E)."""
        return join(self.images.weak(positions, seed), self.embeddings.weak(positions, seed))

    def weak_and_strong(self, positions, weak_seed, strong_seed, size):
        """The weak views, and strong ones of the first `size`."""
        seeds = weak_seed, strong_seed, size
        images = self.images.weak_and_strong(positions, *seeds)
        return tuple(map(join, images, self.embeddings.weak_and_strong(positions, *seeds)))


def test_batches(images, embeddings, count):
    """The batches of `trainer.data.views.test_batches` with those of `embedded.test_batches`.

    Returns:
      `tf.data.Dataset` of dictionaries: image float32 (B, H W channels + E), label (B,), pixels
      (B, H, W, channels) and numbers (B, E), E being `count`.
    """

    def batch(seen, made):
        pixels, numbers = seen["image"], made["image"][:, :count]
        return seen | {"image": join(pixels, numbers), "pixels": pixels, "numbers": numbers}

    return tf.data.Dataset.zip(images, embeddings).map(batch)
