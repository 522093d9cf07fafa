"""Training that models the label noise, on a small budget: the recipe for a user's own images."""

from dataclasses import dataclass

from etils import epy

from trainer import backbones
from trainer.errors import InputError
from trainer.methods.losses import cross_entropy
from trainer.methods.method import Method
from trainer.methods.shared_settings import StrongViewSettings
from trainer.settings.fields import setting

with epy.lazy_imports():
    import keras
    import tensorflow as tf

    from trainer.methods import cross_fitting, forward_correction, pseudo_labels, rotation


@dataclass(frozen=True)
class RobustSettings(StrongViewSettings):
    """Robust."""

    forward_correction: bool = setting(
        True,
        "forward correction with the estimated transition matrix; otherwise plain cross-entropy",
    )
    initial_noise_rate: float = setting(
        0.5, "rate of the uniform noise that the transition matrix starts from", low=0, high=1
    )
    transition_estimate: str = setting(
        "online",
        "transition matrix by EM: from the batches (online), or before the training, out of fold,"
        " by linear models on embeddings (cross_fitted)",
        choices=("online", "cross_fitted"),
    )
    transition_prior: float = setting(
        0.04, "weight of uniform noise in the transition matrix, in mean class sizes", low=0
    )
    trusted_fraction: float = setting(
        0.2, "trusted images per step, as a fraction of the batch, in [0, 1]", low=0, high=1
    )
    strong_fraction: float = setting(
        0.5, "fraction of the batch in the strong view, in [0, 1]", low=0, high=1
    )
    rotation_weight: float = setting(
        1.0, "weight of the rotation prediction loss; 0 turns it off", low=0
    )
    pseudo_label_weight: float = setting(
        1.0,
        "final weight of the pseudo-label loss, ramped up linearly from 0; 0 turns it off",
        low=0,
    )
    confidence_threshold: float = setting(
        0.8, "probability above which a pseudo-label counts, in [0, 1]", low=0, high=1
    )
    class_prior_weight: float = setting(
        1.0, "weight of the class-prior regularisation; 0 turns it off", low=0
    )


class Robust(Method):
    """Forward correction with four further losses.

      L = 1/B (sum_i -log P(y_i | x_i) + w sum_m CE(t_m, z_m)
               + rotation_weight sum_i -log P(y_i, r_i | x'_i)
               + pseudo_label_weight k/K sum_s [q_s > confidence_threshold] CE(g_s, z_s))
          + class_prior_weight KL(h || mean_i P(. | x_i)) + R(theta)

    * P(y_i | x_i): forward correction through T, which EM estimates: in training
      (`forward_correction`), or before it from embeddings (`cross_fitting`).
    * t_m: labels of the trusted images, `trusted_fraction` B of them, if there are any. w is 1;
      with T from cross-fitting it lets each of them count at least as much as a noisy one.
    * x'_i: a view of x_i rotated by r_i; a second head predicts class and rotation (`rotation`).
    * g_s: pseudo-labels of the examples in the strong view; the EMA weights predict them from the
      weak view and the given label (`pseudo_labels`). Their weight grows with step k of K. It is 0
      without trusted images, because then they can collapse onto few classes.
    * h: class prior from given labels and T.
    """

    Settings = RobustSettings
    # In large batches true labels outnumber wrong ones, and large steps are stable.
    recipe = {
        "batch_size": 300,
        "learning_rate": 0.3,
        "lr_schedule": "cosine_one",
        "warmup_epochs": 3,
        "ema_decay": 0.95,
        "optimizer": "muon",
    }
    # A teacher's pass over a strong view costs more time than it gains there.
    finetuning = {"strong_fraction": 0.0, "pseudo_label_weight": 0.0}
    uses_probe = True
    scalars = (
        *("loss", "loss_given", "loss_trusted", "loss_rotation", "loss_pseudo_label"),
        *("loss_class_prior", "p_clean"),
    )
    coefficients = {
        "p_clean": ("Trust in training", "mean probability that the given label is true")
    }

    def __init__(self, network, config, weight_decay, num_examples, steps_per_epoch=1):
        super().__init__(network, config, weight_decay, num_examples, steps_per_epoch)
        self.noise = forward_correction.TransitionMatrix(
            self.num_classes,
            config.initial_noise_rate,
            config.transition_prior,
            em_rate=0 if self.is_cross_fitted else 1 / max(steps_per_epoch, 2),  # memory: an epoch
        )
        self.trusted_weight = tf.Variable(1.0, trainable=False)

    def build(self, input_shape):
        self.head = self.network.layers[-1]
        self.features = keras.Model(self.network.input, self.head.input)
        self.heads = {}  # beside that of the network
        if self.config.rotation_weight:
            self.heads["rotation_head"] = rotation.ClassRotationHead(self.num_classes)
            self.heads["rotation_head"].build(self.head.input.shape)
        super().build(input_shape)

    @property
    def is_cross_fitted(self):
        return self.config.transition_estimate == "cross_fitted"

    @classmethod
    def check(cls, config, data, num_classes):
        super().check(config, data, num_classes)
        if config.transition_estimate == "cross_fitted" and config.backbone == backbones.NONE:
            rule = "must be online without a --backbone, of whose embeddings cross_fitted makes it"
            raise InputError("--transition_estimate", rule, config.transition_estimate)

    def begin(self, data):
        if self.is_cross_fitted:
            found = cross_fitting.cross_fit(
                data.images.first_view(),
                data.labels,
                data.probe_images.first_view(),
                data.probe_labels,
                self.num_classes,
                self.config.transition_prior,
                self.config.seed,
            )
            self.noise.J.assign(found.joint)
            trusted, fraction = len(data.probe_labels), self.config.trusted_fraction
            if fraction:
                self.trusted_weight.assign(max(1.0, trusted / len(data.labels) / fraction))

    def continue_from(self, earlier):
        self.noise.J.assign(earlier.noise.J)
        self.trusted_weight.assign(earlier.trusted_weight)

    @classmethod
    def probe_size(cls, config):
        fraction = config.trusted_fraction
        return max(round(fraction * config.batch_size), 1 if fraction else 0)

    @classmethod
    def strong_size(cls, config):
        return round(config.strong_fraction * config.batch_size)

    @property
    def trained(self):
        further = [v for head in self.heads.values() for v in head.trainable_variables]
        return super().trained + further

    @property
    def state(self):
        estimated = {"J": self.noise.J, "trusted_weight": self.trusted_weight}
        return super().state | estimated | self.heads

    def train_step(self, batch):
        config, y = self.config, batch["label"]
        T = self.noise.matrix() if config.forward_correction else tf.eye(self.num_classes)
        T_given = tf.gather(tf.transpose(T), y)
        strong = batch.get("strong_image", batch["image"][:0])
        B, M, S = y.shape[0], batch["probe_label"].shape[0], strong.shape[0]
        x = [strong, batch["image"][S:], batch["probe_image"]]
        if config.rotation_weight:
            x_rotated, quarters = rotation.rotated(batch["image"])
            x.append(x_rotated)
        use_pseudo_labels = config.pseudo_label_weight and M and S
        if use_pseudo_labels:
            q_strong = self.ema_posterior(batch["image"][:S], T_given[:S])
        with tf.GradientTape() as tape:
            features = self.features(tf.concat(x, axis=0), training=True)
            z, z_trusted = tf.split(self.head(features[: B + M]), [B, M])
            log_p = tf.nn.log_softmax(z)
            losses = {
                "given": tf.reduce_mean(forward_correction.forward_cross_entropy(log_p, T_given)),
                "trusted": self.trusted_loss(batch["probe_label"], z_trusted) / B,
            }
            if config.rotation_weight:
                losses["rotation"] = self.rotation_loss(features[B + M :], quarters, T_given)
            if use_pseudo_labels:
                losses["pseudo_label"] = self.pseudo_label_loss(z[:S], q_strong) / B
            if config.class_prior_weight:
                losses["class_prior"] = self.class_prior_loss(log_p, T)
            loss = tf.add_n(list(losses.values())) + self.regulariser()
        self.update(self.gradients(tape, loss))
        q = forward_correction.true_label_posterior(log_p, T_given)
        self.noise.update(y, q)
        p_clean = tf.gather(q, y, axis=1, batch_dims=1)
        self.record.add(batch["id"], {"p_clean": p_clean})
        named = {f"loss_{name}": value for name, value in losses.items()}
        return self.report(loss=loss, **named, p_clean=tf.reduce_mean(p_clean))

    def trusted_loss(self, t, z):
        return self.trusted_weight * tf.reduce_sum(cross_entropy(self.one_hot(t), z))

    def rotation_loss(self, features, quarters, T_given):
        log_p = self.heads["rotation_head"].log_probability(features, quarters)
        nll = forward_correction.forward_cross_entropy(log_p, T_given)
        return self.config.rotation_weight * tf.reduce_mean(nll)

    def pseudo_label_loss(self, z, q):
        """The loss; its weight grows from 0 to almost `pseudo_label_weight` at the last step."""
        ramp = tf.cast(self.optimizer.iterations, tf.float32) / self.config.max_iteration
        threshold = self.config.confidence_threshold
        ce = pseudo_labels.pseudo_label_cross_entropy(z, q, threshold)
        return self.config.pseudo_label_weight * ramp * tf.reduce_sum(ce)

    def class_prior_loss(self, log_p, T):
        divergence = forward_correction.class_prior_divergence(self.noise.class_prior(T), log_p)
        return self.config.class_prior_weight * divergence

    def ema_posterior(self, images, T_given):
        """P(true j | image n, given label), (n, C), by the EMA weights."""
        z = self.forward(images, self.ema, training=False)
        return forward_correction.true_label_posterior(tf.nn.log_softmax(z), T_given)
