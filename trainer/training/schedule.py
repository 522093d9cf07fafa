"""Learning-rate schedules, by the name of their flag value."""

import tensorflow as tf
from keras.optimizers import schedules


class Warmup(schedules.LearningRateSchedule):
    """Linear from 0 over `steps`; then `schedule` starts with step 0."""

    def __init__(self, schedule, peak, steps):
        self.schedule = schedule
        self.peak = peak
        self.steps = steps

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        rising = self.peak * step / self.steps
        return tf.where(step < self.steps, rising, self.schedule(tf.maximum(step - self.steps, 0)))

    def get_config(self):
        return {"schedule": self.schedule, "peak": self.peak, "steps": self.steps}


def learning_rate(config, steps_per_epoch):
    """The schedule that `config` selects.

    * cosine: restarts (Loshchilov & Hutter, ICLR 2017); cycle k lasts decay_steps cos_t_mul^k
      steps from a peak of learning_rate cos_m_mul^k down to 0.
    * cosine_one: one cosine to 0 over max_iteration.
    * custom_step: times decay_rate at each of decay_steps.
    * exponential: times 0.9 every decay_steps.

    Args:
      config: `trainer.settings.training.TrainSettings`.
      steps_per_epoch: Steps of one pass over the training examples, for the warm-up.
    """
    rate, steps = config.learning_rate, [int(s) for s in config.decay_steps.split(",")]
    match config.lr_schedule:
        case "cosine" | "cosine_warmup":
            schedule = schedules.CosineDecayRestarts(
                rate, steps[0], config.cos_t_mul, config.cos_m_mul
            )
        case "cosine_one":
            schedule = schedules.CosineDecay(rate, config.max_iteration)
        case "custom_step":
            # Keras keeps a value up to and including its boundary; the drop is at the boundary.
            values = [rate * config.decay_rate**k for k in range(len(steps) + 1)]
            schedule = schedules.PiecewiseConstantDecay([s - 2 for s in steps], values)
        case "exponential":
            schedule = schedules.ExponentialDecay(rate, steps[0], 0.9, staircase=True)
    if config.warmup_epochs:
        schedule = Warmup(schedule, rate, config.warmup_epochs * steps_per_epoch)
    return schedule


def cycle_ends(config):
    """The steps after which a cycle of the cosine with restarts ends, as a set.

    Each length is rounded here, as in the release; the rate itself follows the exact ones.
    """
    if config.lr_schedule != "cosine":
        return set()
    end, length, ends = 0, int(config.decay_steps.split(",")[0]), set()
    while end <= config.max_iteration:
        end += length
        length = round(length * config.cos_t_mul)
        ends.add(end)
    return ends
