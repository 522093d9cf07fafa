"""FSR: Learning Fast Sample Re-weighting Without Reward Data (Zhang & Pfister, ICCV 2021)."""

import re
from dataclasses import dataclass

import numpy as np
from etils import epy

from trainer.errors import InputError
from trainer.methods.losses import cross_entropy, fraction, normalise
from trainer.methods.method import Method, example_weights
from trainer.methods.mixup import mixup, mixup_draws
from trainer.methods.shared_settings import LookaheadMomentumSettings
from trainer.settings.fields import setting

with epy.lazy_imports():
    import tensorflow as tf

    from trainer.methods import example_queue, meta_gradient


def pseudo_loss_rule(value):
    if re.fullmatch(r"|all(_\d*\.?\d+){3}", value):
        return ""
    return "must be all_<temperature>_<old fraction>_<weight>, such as all_1_0.1_2, or ''"


@dataclass(frozen=True)
class FSRSettings(LookaheadMomentumSettings):
    """FSR."""

    use_mixup: bool = setting(True, "MixUp within the batch")
    label_smoothing: float = setting(
        0.0,
        "fraction of a label that is spread over all classes, without use_mixup, in [0, 1]",
        low=0,
        high=1,
    )
    queue_capacity: int = setting(
        2000, "size of the queue of examples that count as clean, over all classes", low=1
    )
    queue_bs: int = setting(200, "queue examples per step", low=1)
    queue_beta: float = setting(0.9, "decay of an example's score", low=0)
    meta_start_epoch: int = setting(
        20, "epochs before example weights and pseudo loss start", low=0
    )
    clip_meta_weight: bool = setting(
        True, "clip negative weights to 0; otherwise shift all weights"
    )
    use_pseudo_loss: str = setting(
        "all_1_0.1_2",
        "pseudo loss: all_<temperature>_<fraction of the old logits>_<weight>, or '' for none",
        rule=pseudo_loss_rule,
    )

    @property
    def pseudo_loss(self):
        """Temperature, fraction of the old logits, and weight, from `use_pseudo_loss`."""
        return tuple(float(number) for number in self.use_pseudo_loss.split("_")[1:])


def check_queue(config, labels, num_classes):
    """Raises InputError unless these labels can fill the queue."""
    for name, value in (("queue_capacity", config.queue_capacity), ("queue_bs", config.queue_bs)):
        if value % num_classes:
            raise InputError(f"--{name}", f"must be a multiple of {num_classes} classes", value)
    if config.queue_bs > config.queue_capacity:
        rule = f"must be at most --queue_capacity, {config.queue_capacity}"
        raise InputError("--queue_bs", rule, config.queue_bs)
    fewest = np.bincount(labels, minlength=num_classes).min()
    if config.queue_capacity > fewest * num_classes:
        rule = f"must be at most {fewest * num_classes}: a class has only {fewest} given labels"
        raise InputError("--queue_capacity", rule, config.queue_capacity)


class FSR(Method):
    """Weights w chosen on examples that count as clean, so that no probe is needed.

      L = sum_i w_i CE(q_i, z_i) + pseudo CE(softmax(n(E_i) / T), z_i) + R(theta)

    on images blended with others of the batch, with blended labels q; E_i is a running mean of the
    logits of example i. Only the last dense layer takes part in the lookahead.

    Args:
      steps_per_epoch: For `meta_start_epoch`; before it w = 1/B and there is no pseudo loss.
    """

    Settings = FSRSettings
    scalars = ("loss", "loss_probe", "loss_pseudo", "zero_weights")
    coefficients = {"weight": ("Learned weights", "mean weight")}

    def __init__(self, network, config, weight_decay, num_examples, steps_per_epoch=1):
        super().__init__(network, config, weight_decay, num_examples, steps_per_epoch)
        self.queue = example_queue.ExampleQueue(
            config.queue_capacity, network.input_shape[1:], num_examples
        )
        self.running_logits = tf.Variable(
            tf.zeros([num_examples, self.num_classes]),
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        self.start = config.meta_start_epoch * steps_per_epoch

    @classmethod
    def check(cls, config, data, num_classes):
        check_queue(config, data.labels, num_classes)

    @classmethod
    def draws(cls, config, num_classes, seeds):
        slots = example_queue.draw_slots(config, num_classes, seeds[2])
        return mixup_draws(config.batch_size, seeds[:2]) | {"queue_slot": slots}

    def callbacks(self, data, epoch_steps):
        return [example_queue.RefillQueue(self.queue, data, self.config, epoch_steps)]

    @property
    def state(self):
        kept = {"scores": self.queue.scores, "queue_ids": self.queue.ids}
        return super().state | kept | {"running_logits": self.running_logits}

    def train_step(self, batch):
        started = self.optimizer.iterations >= self.start
        images, q = self.blend(batch)
        with tf.GradientTape(persistent=True) as tape:
            z = self.network(images, training=True)
            ce, R = cross_entropy(q, z), self.regulariser()
            z_A = self.in_meta_precision(z, images)
            ce_A = cross_entropy(q, z_A)
            A = tf.reduce_mean(ce_A) + R
            with tape.stop_recording():
                M, dM_dw, ce_ahead = self.meta_step(batch, tape, A, z_A, q)
                w0 = tf.ones_like(ce) / tf.cast(tf.size(ce), ce.dtype)
                w = tf.where(started, self.weigh(w0, dM_dw), w0)
            loss_pseudo = tf.cast(started, z.dtype) * self.pseudo_loss(batch["id"], z)
            loss = tf.reduce_sum(w * ce) + loss_pseudo + R
        self.update(self.gradients(tape, loss))
        self.remember(batch["id"], fall=ce_A - ce_ahead, z=z)
        self.record.add(batch["id"], {"weight": w})
        return self.report(
            loss=loss, loss_probe=M, loss_pseudo=loss_pseudo, zero_weights=fraction(w == 0)
        )

    def blend(self, batch):
        """Images and labels (B, C) to train on: mixed up, or with smoothed labels."""
        y = self.one_hot(batch["label"])
        if self.config.use_mixup:
            return mixup(batch["image"], y, batch["mix_uniform"], batch["mix_permutation"])
        return batch["image"], self.smooth(y)

    def smooth(self, y):
        """Labels (B, C) of which a fraction `label_smoothing` is spread over all classes."""
        epsilon = self.config.label_smoothing
        return (1 - epsilon) * y + epsilon / self.num_classes

    def meta_step(self, batch, tape, A, z, q):
        """How the loss on the queue depends on each example, after the lookahead.

        Args:
          batch: As for `train_step`.
          tape: On which A and z were computed.
          A: The lookahead loss.
          z: Logits (B, C) of the blended images in full precision.
          q: (B, C), their labels.

        Returns:
          The loss M on the queue, dM/dw (B,) at w = 1/B, and the losses of the plain images (B,)
          under theta'.
        """
        config, theta = self.config, self.last_layer
        frozen = self.theta[: -len(theta)]
        momentums = self.optimizer.momentums[-len(theta) :]
        gradients, alpha = meta_gradient.gradient(tape, A, theta), config.meta_stepsize
        ahead = meta_gradient.lookahead(theta, gradients, alpha, momentums, config.meta_momentum)
        slots = batch["queue_slot"]
        y_queue = self.one_hot(slots // (config.queue_capacity // self.num_classes))
        x_queue = self.queue.shown(slots)
        x = tf.concat([x_queue, batch["image"]], axis=0)

        def losses(ahead):
            z_queue, z = tf.split(self.forward(x, [*frozen, *ahead]), [slots.shape[0], q.shape[0]])
            M = tf.reduce_mean(cross_entropy(self.smooth(y_queue), z_queue))
            decay = tf.add_n([tf.nn.l2_loss(t) for t in ahead])
            return M + self.weight_decay * decay, cross_entropy(self.one_hot(batch["label"]), z)

        (M, ce_ahead), h = meta_gradient.value_and_gradient(losses, ahead)
        dz = meta_gradient.derivatives_of_logits(tape, [z], theta, h)
        dl = meta_gradient.directional_derivatives(lambda z: cross_entropy(q, z), [z], dz)
        return M, -alpha * dl, ce_ahead

    def weigh(self, w0, dM_dw):
        """Weights (B,), >= 0: clipped at 0 as in L2R, or shifted so that the lowest is w0."""
        if self.config.clip_meta_weight:
            return example_weights(dM_dw)
        raw = w0 - dM_dw
        shifted = raw - tf.reduce_min(raw) + w0
        return shifted / (tf.reduce_sum(shifted) + 1e-5)

    def pseudo_loss(self, ids, z):
        """Cross-entropy with earlier predictions of the network for these examples."""
        if not self.config.use_pseudo_loss:
            return tf.constant(0.0)
        temperature, _, weight = self.config.pseudo_loss
        target = tf.nn.softmax(normalise(tf.gather(self.running_logits, ids)) / temperature)
        return weight * tf.reduce_mean(cross_entropy(target, z))

    def remember(self, ids, fall, z):
        """Updates the running means with the decrease of the losses (B,) and the logits z (B, C).

        Each replica writes the values of all replicas, so that they stay equal.
        """
        beta, score = self.config.queue_beta, tf.gather(self.queue.scores, ids)
        old, new = (beta, 1 - beta) if beta < 1 else (1, beta)
        rows = {"scores": old * score - new * fall}
        if self.config.use_pseudo_loss:
            _, gamma, _ = self.config.pseudo_loss
            old_logits = normalise(tf.gather(self.running_logits, ids))
            rows["running_logits"] = gamma * old_logits + (1 - gamma) * z
        # One call gathers all: of separate calls, two replicas might pair different ones.
        rows = tf.distribute.get_replica_context().all_gather(rows | {"ids": ids}, axis=0)
        ids = rows.pop("ids")
        for name, values in rows.items():
            self.state[name].scatter_update(tf.IndexedSlices(values, ids))
