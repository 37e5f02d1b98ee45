"""The loop over a stack: its members take every step together, and each has its own lines, patience and end."""

import time

import jax
import numpy as np

from aejax import train
from aejax.errors import Diverged
from aejax.pictures import Pictures
from aejax.sweep.side_by_side import Room, Seat
from aejax.sweep.stack import Stack


def train_stack(stack: Stack, room: Room) -> int:
    """Train the members to their ends: 0, or 128 + n where signal n stopped them; all are saved.

    Raises:
      UserError: a mistake in the data or a folder.
    """
    if not stack.restore() and (status := stack.begin(Seat(stack.members[0], room))):
        return status
    loop = _Loop(stack, room)
    try:
        for i, error in stack.diverged.items():
            loop.stop(i, error)
        return loop.run()
    finally:
        loop.close()


class _Loop:
    def __init__(self, stack: Stack, room: Room):
        self.stack, self.room, self.config = stack, room, stack.first.config
        # of one that has ended every line stays
        from_steps = np.asarray(stack.state.step)[: len(stack.members)] + stack.ended
        self.metrics = [
            Seat(member, room).metrics(member.workdir, int(step), self.config.log.tensorboard)
            for member, step in zip(stack.members, from_steps, strict=True)
        ]
        self.pace = train.Pace(self.config.train.steps_per_call)
        self.pictures = [Pictures(lane, m.workdir) for lane, m in zip(stack.lanes, stack.members, strict=True)
                         if lane.config.log.figure_epochs]  # fmt: skip

    def run(self) -> int:
        """To the last step, the end of everybody's patience, or a signal."""
        stack, seconds = self.stack, self.config.checkpoint.seconds
        saved = time.monotonic()
        if stack.step == 0:
            self.draw(0)
        elif self.tests_after(stack.step):
            self.test(~stack.ended)  # those lines were dropped on resuming at this very step
        while stack.step < stack.total and not stack.ended.all() and not self.room.received:
            now = time.monotonic()
            count = min(self.pace.steps(), stack.steps_per_epoch - stack.step % stack.steps_per_epoch)
            stack.advance(count)
            self.stop_non_finite(stack.first_non_finite())
            self.pace.took(count, time.monotonic() - now)
            self.tell()
            if stack.step % stack.steps_per_epoch == 0:
                self.end_epoch()
            if time.monotonic() - saved >= seconds:
                self.save()
                saved = time.monotonic()
        if not self.room.received:
            self.end(~stack.ended)
        self.save()
        for pictures in self.pictures:
            pictures.wait()
        return 128 + self.room.received if self.room.received else 0

    def tell(self) -> None:
        batch = self.config.train.batch_size
        for i, figures in enumerate(self.stack.train_figures()):
            if not self.stack.ended[i]:
                self.room.progress.update(self.stack.members[i].number, self.stack.step * batch, figures["loss"])

    def end_epoch(self) -> None:
        """Everybody's lines of the epoch; those whose patience is out are at their end."""
        stack, epoch = self.stack, self.stack.step // self.stack.steps_per_epoch
        going, evaluated = ~stack.ended, epoch % self.config.eval.epochs == 0 or stack.step == stack.total
        self.write("train", stack.train_figures(), going)
        stack.reset_sums()
        if len(stack.dataset.valid) and evaluated:
            valid = stack.split_figures(stack.dataset.valid)
            self.write("valid", valid, going)
            better = np.zeros(len(stack.lanes), bool)
            for i in np.flatnonzero(going):
                stack.lanes[i].step = stack.step
                better[i] = stack.lanes[i].improved(valid[i]["loss"])
            stack.keep_best(better)
        if self.tests_after(stack.step):
            self.test(going)
        self.draw(epoch)
        self.end(going & np.array([lane.patience_is_out() for lane in stack.lanes]))

    def tests_after(self, step: int) -> bool:
        return train.curve_of_test(self.config.eval, *divmod(step, self.stack.steps_per_epoch))

    def test(self, which: np.ndarray) -> None:
        """The line of test of those of ``which`` [m] that have none of this step."""
        stack = self.stack
        which = which & np.array([lane.tested != stack.step for lane in stack.lanes])
        if len(stack.dataset.test) and which.any():
            self.write("test", stack.split_figures(stack.dataset.test), which)
        for i in np.flatnonzero(which):
            stack.lanes[i].tested = stack.step

    def end(self, which: np.ndarray) -> None:
        """These of the members [m] have taken their last step."""
        self.test(which)
        self.stop_broken(which)
        for i in np.flatnonzero(which & ~self.stack.ended):
            self.stack.ended[i] = self.stack.lanes[i].meta["finished"] = True
            self.room.progress.end(self.stack.members[i].number)

    def stop_non_finite(self, steps: np.ndarray, what: str = "the loss is not finite at step") -> None:
        """Members that diverged at these steps [m] (0: did not) stop, and leave a line that says so."""
        for i in np.flatnonzero((steps > 0) & ~self.stack.ended):
            self.stop(i, Diverged(f"{what} {steps[i]}; a lower config.optim.learning_rate may help"))

    def stop(self, i: int, error: Diverged) -> None:
        """This member stops, and leaves a line that says why."""
        self.stack.ended[i] = True
        self.room.diverged(self.stack.members[i], error)

    def write(self, split: str, figures: list[dict[str, float]], which: np.ndarray) -> None:
        stack = self.stack
        for i in np.flatnonzero(which):
            self.metrics[i].write(stack.step, stack.step // stack.steps_per_epoch, split, figures[i])

    def draw(self, epoch: int) -> None:
        for pictures in self.pictures:
            lane = pictures.trainer
            number = self.stack.lanes.index(lane)
            lane.state, lane.step = self.stack.lane_state(number), self.stack.step
            lane.preprocessing = jax.device_get(self.stack.preprocessing)
            pictures.draw(epoch)
            pictures.begin()

    def stop_broken(self, which: np.ndarray) -> None:
        """Those of the members [m] whose weights are not finite stop."""
        if which.any():
            broken = np.where(which & ~self.stack.finite(), self.stack.step, 0)
            self.stop_non_finite(broken, "the weights are not finite after step")

    def save(self) -> None:
        self.stop_broken(~self.stack.ended)
        self.stack.save()

    def close(self) -> None:
        for writer in (*self.metrics, *self.pictures):
            writer.close()


