"""Batch normalisation around TensorFlow's fused operation."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="trainer")
class FusedBatchNorm(keras.layers.Layer):
    """Normalises (B, H, W, channels) by the batch in training, by moving statistics otherwise.

    Unlike `keras.layers.BatchNormalization` it runs as one operation, several times faster on a
    CPU, and feeds the unbiased batch variance into the moving one. Float32 inside, whatever the
    type of its input.

    Each replica normalises by its own batch; the moving statistics are means over all replicas.

    Args:
      momentum: Share of the old moving statistics, in [0, 1).
      epsilon: Added to the variance.
      regularizer: Keras regulariser of scale and offset.
    """

    def __init__(self, momentum=0.9, epsilon=1e-5, regularizer=None, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon
        self.regularizer = keras.regularizers.get(regularizer)

    def build(self, input_shape):
        def weight(name, initializer, **kwargs):
            return self.add_weight(
                shape=input_shape[-1:],
                initializer=initializer,
                name=name,
                dtype="float32",
                autocast=False,
                **kwargs,
            )

        self.gamma = weight("gamma", "ones", regularizer=self.regularizer)
        self.beta = weight("beta", "zeros", regularizer=self.regularizer)
        moving = {"trainable": False, "aggregation": "mean"}
        self.moving_mean = weight("moving_mean", "zeros", **moving)
        self.moving_variance = weight("moving_variance", "ones", **moving)

    def call(self, inputs, training=False):
        statistics = (self.moving_mean, self.moving_variance)
        outputs, *batch_statistics = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=[] if training else tf.convert_to_tensor(self.moving_mean),
            variance=[] if training else tf.convert_to_tensor(self.moving_variance),
            epsilon=self.epsilon,
            is_training=training,
        )[:3]
        if training:
            for moving, batch in zip(statistics, batch_statistics, strict=True):
                moving.assign(self.momentum * moving + (1 - self.momentum) * batch)
        return outputs

    def get_config(self):
        return super().get_config() | {
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "regularizer": keras.regularizers.serialize(self.regularizer),
        }
