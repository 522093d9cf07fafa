"""The examples that FSR treats as clean: a queue of the same size for each class."""

import keras
import numpy as np
import tensorflow as tf

from trainer.data.augmentation import augment
from trainer.data.streams import Stream, TensorStream


class ExampleQueue(tf.Module):
    """Scores of all examples, and those that score lowest in each class.

    Slots c k to (c + 1) k - 1 are those of class c, with k = capacity / C.

    Args:
      capacity: Number of examples in the queue, over all C classes.
      image_shape: (H, W, channels), or (D,) of embeddings.
      num_examples: N.

    Attributes:
      scores: float32 (N,), minus the running mean of how much a step on the queue lowers the loss
        of an example.
      ids: int64 (capacity,), positions of the examples in the training set.
      images: uint8 (capacity, H, W, channels), or float16 (capacity, D), a weak view of each.
    """

    def __init__(self, capacity, image_shape, num_examples):
        super().__init__()

        def variable(shape, dtype):
            return tf.Variable(
                tf.zeros(shape, dtype),
                trainable=False,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )

        self.scores = variable([num_examples], tf.float32)
        self.ids = variable([capacity], tf.int64)
        dtype = tf.uint8 if len(image_shape) == 3 else tf.float16
        self.images = variable([capacity, *image_shape], dtype)

    def show(self, views):
        """Puts views, float32, into all slots; images are kept as the grey levels they are of."""
        of_images = self.images.dtype == tf.uint8
        views = tf.round((views + 1) * 127.5) if of_images else views
        self.images.assign(tf.cast(views, self.images.dtype))

    def shown(self, slots):
        """The views in some slots, float32."""
        views = tf.gather(self.images, slots)
        return augment.scale(views) if views.dtype == tf.uint8 else tf.cast(views, tf.float32)

    def lowest(self, labels, num_classes, order):
        """Ids of the examples with the lowest scores of each class, int64 (capacity,).

        Args:
          labels: int (N,), as given.
          num_classes: C.
          order: int (N,), a permutation that breaks ties between equal scores.
        """
        k = self.ids.shape[0] // num_classes
        order = order[np.argsort(self.scores.numpy()[order], kind="stable")]
        return np.concatenate([order[labels[order] == c][:k] for c in range(num_classes)])


def draw_slots(config, num_classes, seed):
    """Slots of the queue, `queue_bs` in all, drawn without replacement: int32 (queue_bs,)."""
    per_class = config.queue_capacity // num_classes
    order = tf.argsort(tf.random.stateless_uniform([num_classes, per_class], seed))
    drawn = order[:, : config.queue_bs // num_classes]
    return tf.reshape(drawn + per_class * tf.range(num_classes)[:, tf.newaxis], [-1])


class RefillQueue(keras.callbacks.Callback):
    """Puts into the queue, after each epoch, the examples with the lowest scores.

    Args:
      queue: `ExampleQueue`.
      data: `trainer.data.input_pipeline.TrainingData`.
      config: `trainer.methods.fsr.FSRSettings`.
      epoch_steps: Steps of an epoch.
    """

    def __init__(self, queue, data, config, epoch_steps):
        super().__init__()
        self.queue = queue
        self.data = data
        self.config = config
        self.epoch_steps = epoch_steps

    def on_train_begin(self, logs=None):
        self.step = int(self.model.optimizer.iterations.numpy())
        if self.step == 0:
            self.choose()
        self.show()

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        if self.step % self.epoch_steps == 0:
            self.choose()
            self.show()

    def choose(self):
        """Chooses the examples; equal scores, which all have at first, are ordered at random."""
        rng = np.random.default_rng((self.config.seed, Stream.QUEUE))
        order = rng.permutation(len(self.data.labels))
        self.queue.ids.assign(self.queue.lowest(self.data.labels, self.model.num_classes, order))

    def show(self):
        """Puts the weak views of this epoch into the queue."""
        stream = [self.config.seed, TensorStream.QUEUE_VIEWS]
        seed = tf.random.fold_in(stream, self.step // self.epoch_steps)
        views = self.data.images.weak(self.queue.ids.read_value(), seed)
        self.queue.show(views)
