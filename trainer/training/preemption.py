"""Checkpoints between two tests: by time, and before a signal ends the process."""

import signal
import threading

from trainer.errors import Preempted
from trainer.training import workers
from trainer.training.callbacks import AfterStep


class SaveBetweenTests(AfterStep):
    """Saves when a checkpoint is due, and when a signal tells the process, or a worker, to end.

    Args:
      checkpoints: `trainer.training.checkpoints.Checkpoints`, restored.
    """

    def __init__(self, checkpoints):
        super().__init__()
        self.checkpoints = checkpoints
        self.signal, self.handlers = None, {}  # received; earlier handlers by signal

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        # Only the main thread may set handlers.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.handlers[number] = signal.signal(number, self.end_soon)

    def end_soon(self, number, frame):
        """Lets the step finish; a second Ctrl-C does not wait for it."""
        if number == self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = self.signal or number

    def after_step(self, logs):
        # All workers have to save together: when one has to, all do, after the same step.
        mine = float(bool(self.signal)), float(self.checkpoints.due)
        preempted, due = workers.mean_over_workers(self.model.distribute_strategy, mine)
        if (preempted or due) and self.checkpoints.saved_step != self.step:
            self.checkpoints.save()
        if preempted:
            raise Preempted(
                f"interrupted at step {self.step}; the same command resumes",
                self.signal or signal.SIGTERM,
                elsewhere=not self.signal,
            )

    def close(self):
        """Restores the earlier signal handlers."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
