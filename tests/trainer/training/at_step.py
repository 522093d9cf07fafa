"""Something that happens after one step of a training, as a Keras callback."""

import keras


class AtStep(keras.callbacks.Callback):
    """Calls a function with the scalars of a step, before they are checked and the step is saved.

    Args:
      step: Of the run, from 1.
      act: The function.
    """

    def __init__(self, step, act):
        super().__init__()
        self.step, self.act = step, act

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == self.step:
            self.act(logs)


def stop(logs):
    raise KeyboardInterrupt
