"""The base class of all training methods: a network, its EMA weights, and the test of both."""

import functools

from etils import epy

from trainer.errors import InputError
from trainer.methods.losses import cross_entropy
from trainer.settings.training import TrainSettings

with epy.lazy_imports():
    import keras
    import tensorflow as tf

    from trainer.methods import collapse, example_record, meta_gradient


def example_weights(dM_dw):
    """Weights of the examples that help the probe loss: max(0, -dM/dw), normalised.

    Args:
      dM_dw: (B,) gradient of the probe loss with respect to the weights.

    Returns:
      (B,), >= 0, summing to 1; all 0 if no example helps.
    """
    weights = tf.nn.relu(-dM_dw)
    return weights / (tf.reduce_sum(weights) + 1e-5)


def in_precision(network, dtype):
    """The network, or a copy that computes in half precision, with float32 weights and logits."""
    if dtype == "float32":
        return network
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    for layer in copy.layers[:-1]:
        layer.dtype_policy = f"mixed_{dtype}"
    return copy


@functools.cache
def with_keras(method):
    """The class of a method as a subclass of `keras.Model`, which takes seconds to import."""
    return type(method.__name__, (method, keras.Model), {})


class Method:
    """A network with its own training step; instances are a `keras.Model` as well.

    A subclass defines `train_step` on a dictionary of arrays of one replica, made by
    `trainer.data.input_pipeline`, and declares what it needs and what it reports.

    Args:
      network: Model from images (B, H, W, channels) in [-1, 1], embeddings (B, D), or vectors of
        both, to logits (B, C); its `losses` are the regulariser R.
      config: An instance of `Settings`.
      weight_decay: Factor of 1/2 ||theta'||^2 in the probe loss.
      num_examples: N, number of training examples.
      steps_per_epoch: For settings in epochs.

    Attributes:
      Settings: Dataclass of its settings, including those of every training.
      recipe: Defaults of this method that replace the general ones, by name.
      finetuning: Settings of this method in fine-tuning, by name.
      needs_probe: Whether it cannot be trained without trusted examples.
      uses_probe: Whether it learns from trusted examples if there are any.
      advice: What to do if predictions collapse onto few classes.
      scalars: Names of the scalars that a step reports.
      coefficients: (caption, axis label) of each recorded coefficient, by name.
      embeddings_path: Directory of the embeddings of its backbone, if it has one.
      tests_raw: Whether `evaluate` tests the raw weights as well as the EMA weights.
    """

    Settings = TrainSettings
    recipe = {}
    finetuning = {}
    needs_probe = False
    uses_probe = False
    advice = "a lower --learning_rate or --method=supervised may help"
    scalars = ("loss",)
    coefficients = {}
    embeddings_path = None
    tests_raw = True

    def __new__(cls, *args, **kwargs):
        return keras.Model.__new__(cls if issubclass(cls, keras.Model) else with_keras(cls))

    @classmethod
    def probe_size(cls, config):
        """Number of probe examples in a batch, if there is a probe."""
        return config.batch_size if cls.uses_probe else 0

    @classmethod
    def strong_size(cls, config):
        """Number of examples of a batch that have a strong view as well: the first ones."""
        return 0

    @classmethod
    def draws(cls, config, num_classes, seeds):
        """Random numbers that a step needs, by name, from three seeds; part of the batch."""
        return {}

    @classmethod
    def check(cls, config, data, num_classes):
        """Raises InputError unless this can be trained.

        Args:
          config: An instance of `Settings`.
          data: `trainer.data.input_pipeline.TrainingData`.
          num_classes: C.
        """
        if cls.needs_probe and not len(data.probe_labels):
            rule = f"must be 1 or more for {config.method}, which learns from trusted images"
            raise InputError("--probe_per_class", rule, 0)

    def __init__(self, network, config, weight_decay, num_examples, steps_per_epoch=1):
        super().__init__(name=config.method)
        self.network = in_precision(network, config.mixed_precision)
        self.full_network = network  # its own variables are not used
        self.config = config
        self.weight_decay = weight_decay
        self.num_classes = network.output_shape[-1]
        self.record = example_record.ExampleRecord(self.coefficients, num_examples)
        # float64, for the same reason as `ExampleRecord`
        self.means = {name: keras.metrics.Mean(name, "float64") for name in self.scalars}
        self.accuracies = {
            weights: [
                keras.metrics.SparseTopKCategoricalAccuracy(min(k, self.num_classes), name)
                for k, name in ((1, f"top1{weights}"), (5, f"top5{weights}"))
            ]
            for weights in ("", "_raw")
        }
        # Keras keeps a confusion matrix, `total_cm`, in this metric only.
        self.confusion = keras.metrics.MeanIoU(self.num_classes, sparse_y_pred=False)
        self.mean_prediction = collapse.MeanPrediction(self.num_classes)
        self.build(network.input_shape)

    def build(self, input_shape):
        self.built = True

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Does nothing: all is built, and Keras fails on dictionary batches in several workers."""

    def begin(self, data):
        """Estimates before the first step, from the training data, what it needs for all steps."""

    def continue_from(self, earlier):
        """Takes over what a finished run of the same method has estimated beside its network."""

    def callbacks(self, data, epoch_steps):
        """Keras callbacks of the method, a list, for work between steps."""
        return []

    @property
    def state(self):
        """All that a checkpoint has to hold, by name."""
        means = [v.value for mean in self.means.values() for v in mean.variables]
        parts = {"network": self.network, "optimizer": self.optimizer, "record": self.record}
        return parts | {"means": means}

    @property
    def metrics(self):
        """Metrics that `evaluate` resets. The means of training are not among them."""
        accuracies = [accuracy for pair in self.accuracies.values() for accuracy in pair]
        return [*accuracies, self.confusion, self.mean_prediction]

    def call(self, images, training=False):
        return self.network(images, training=training)

    @property
    def theta(self):
        """Trainable variables, as TensorFlow's."""
        return [variable.value for variable in self.network.trainable_variables]

    @property
    def trained(self):
        """Variables that the optimiser changes: those of the network, then those of other heads."""
        return self.network.trainable_variables

    @property
    def ema(self):
        """EMA weights of theta."""
        return self.optimizer.averages[: len(self.theta)]

    @property
    def lookahead_theta(self):
        """The variables outside the lookahead, and those that take part in it."""
        count = len(self.theta if self.config.meta_gradient == "exact" else self.last_layer)
        return self.theta[:-count], self.theta[-count:]

    @property
    def last_layer(self):
        """The variables of the last dense layer, which are the last ones of theta."""
        return [variable.value for variable in self.network.layers[-1].trainable_variables]

    @property
    def meta_network(self):
        """The network of the meta step: in full precision, unless the settings say otherwise."""
        in_half = getattr(self.config, "meta_precision", "float32") == "network"
        return self.network if in_half else self.full_network

    def forward(self, images, theta, training=True, network=None):
        """Logits (B, C) under the weights `theta`, in full precision or by `network`."""
        network, statistics = network or self.full_network, self.network.non_trainable_variables
        return network.stateless_call(theta, statistics, images, training=training)[0]

    def side_pass(self, images):
        """Logits (B, C) of the network in training mode; changes nothing."""
        statistics = self.network.non_trainable_variables
        return self.network.stateless_call(self.theta, statistics, images, training=True)[0]

    def in_meta_precision(self, z, images):
        """The logits z of the images, computed again if the meta step has another precision."""
        return z if self.network is self.meta_network else self.forward(images, self.theta)

    def probe_loss(self, batch, theta, frozen=()):
        """M(theta'): mean cross-entropy of the probe batch plus the decay of theta'.

        Args:
          batch: Has probe_image and probe_label.
          theta: The variables after the lookahead, the last ones of the network.
          frozen: The variables before them, which the lookahead does not change.
        """
        z = self.forward(batch["probe_image"], [*frozen, *theta], network=self.meta_network)
        decay = tf.add_n([tf.nn.l2_loss(t) for t in theta])
        ce = cross_entropy(self.one_hot(batch["probe_label"]), z)
        return tf.reduce_mean(ce) + self.weight_decay * decay

    def regulariser(self):
        """R(theta), a scalar."""
        return tf.add_n(self.network.losses)

    def one_hot(self, labels):
        return tf.one_hot(labels, self.num_classes, dtype=self.network.output.dtype)

    def gradients(self, tape, loss):
        """Gradients of the loss / replicas, scaled for the optimiser, which sums over replicas."""
        part = tf.ones_like(loss) / self.distribute_strategy.num_replicas_in_sync
        trained = [variable.value for variable in self.trained]
        return meta_gradient.gradient(tape, loss, trained, self.optimizer.scale_loss(part))

    def update(self, *gradients):
        """One step of the optimiser along the sum of the gradients of several losses."""
        total = [tf.add_n(parts) for parts in zip(*gradients, strict=True)]
        self.optimizer.apply(total, self.trained)

    def report(self, **values):
        """Adds the scalars of a step to their means. Returns the logs for `fit`."""
        for name, value in values.items():
            self.means[name].update_state(value)
        return self.shown(values)

    def shown(self, scalars):
        """Adds an axis for several workers, along which Keras takes the mean over workers."""
        if self.distribute_strategy.cluster_resolver is None:
            return scalars
        return {name: value[tf.newaxis] for name, value in scalars.items()}

    def test_step(self, batch):
        """Accuracy of EMA weights, and of raw ones if asked, in one pass over the images."""
        averaged = self.forward(batch["image"], self.ema, training=False)
        self.confusion.update_state(batch["label"], averaged)
        self.mean_prediction.update_state(averaged)
        tested = {"": averaged}
        if self.tests_raw:
            tested["_raw"] = self.forward(batch["image"], self.theta, training=False)
        for weights, logits in tested.items():
            for accuracy in self.accuracies[weights]:
                accuracy.update_state(batch["label"], logits)
        accuracies = (accuracy for weights in tested for accuracy in self.accuracies[weights])
        return self.shown({accuracy.name: accuracy.result() for accuracy in accuracies})
