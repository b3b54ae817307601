"""One training loop for every workload: evaluate, save, step, log, in plain sight.

How far training is comes from the clock (`budget`) or from the count of updates (`steps`, `epochs`); learning rate,
evaluations and the end are functions of that. All else is a function of seed and step, so a run that is stopped and
resumed makes the updates it would have made.
"""

import json
import math
import time
from pathlib import Path
from typing import Any

import torch

from tinylm.core.errors import DivergedError, InputError, InterruptedByUserError, TinyLMError
from tinylm.core.files import write_text
from tinylm.core.progress import Progress
from tinylm.core.seeds import torch_generator
from tinylm.core.signals import stop_signals
from tinylm.train.batches import Batches
from tinylm.train.clock import Clock
from tinylm.train.distributed import DistributedContext
from tinylm.train.optimiser import Optimiser
from tinylm.train.schedule import learning_rate_factor, seconds_of
from tinylm.train.settings import TrainingSettings
from tinylm.train.state import State, latest, load_state, require_space, save_state
from tinylm.train.workload import Measures, Workload

_LOG_EVERY = 20
METRICS = "metrics.jsonl"


class Trainer:
    """A run of a workload, with its clock and its state.

    Args:
        workload: what is trained.
        settings: how; the learning rate and one of budget, steps and epochs are set.
        folder: where checkpoints and metrics go.
        precision: type of matrix products.
        processes: the processes that take part.
        progress: receives the stage, how far it is, and losses.
    """

    def __init__(
        self,
        workload: Workload,
        settings: TrainingSettings,
        folder: Path,
        precision: torch.dtype,
        processes: DistributedContext,
        progress: Progress,
    ) -> None:
        self.workload, self.settings, self.folder = workload, settings, folder
        self.precision, self.processes, self.progress = precision, processes, progress
        self.state = State()
        self.optimiser = Optimiser(
            workload.model,
            settings,
            sparse=workload.sparse_parameters(),
            head_lr_multiplier=workload.head_lr_multiplier,
        )
        self.wrapped = processes.wrap(workload.module)
        self.batches = Batches(workload, processes.device)
        steps = settings.steps
        if settings.epochs is not None:
            steps = max(1, round(settings.epochs * workload.batches_per_epoch))
        self.clock = Clock(steps, seconds_of(settings.budget) if settings.budget else math.inf, processes)
        self.peak_rate = settings.learning_rate or 0.0
        self._logged = (0.0, 0)

    def run(self) -> State:
        """Train to the end, from the latest checkpoint where there is one.

        Raises:
            InterruptedByUserError: Ctrl-C or SIGTERM came; a checkpoint was saved.
            DivergedError: the loss exploded; the last checkpoint is kept.
            TinyLMError: the memory of the GPU is too small.
            InputError: the checkpoint is of another model, the disk is too full, or a batch has fewer rows than
                there are processes.
        """
        require_space(self.folder, self.workload.model)
        # A signal while what was saved is read waits for the first update, and is saved after it like any other.
        with stop_signals(interrupt_on_second=True) as stopped, self.batches:
            self._restore()
            saved = time.perf_counter()
            if self.clock.steps is not None:
                self.progress.start(self.workload.name, self.clock.steps, "updates")
            else:
                self.progress.start(self.workload.name, self.clock.budget, "s")
            while not self.state.finished:
                done = self.clock.progress(self.state.step)
                if done * self.workload.evaluations >= self.state.evaluations or done >= 1:
                    self._validate(done)
                if done < 1:
                    self._update_in_memory(done)
                self.state.finished = done >= 1
                # Also after the last validation, which is long enough for a signal to come meanwhile.
                if self.processes.broadcast(float(bool(stopped))):
                    self._save()
                    raise InterruptedByUserError(
                        f"interrupted after update {self.state.step:,}; everything so far is saved in {self.folder}"
                    )
                if time.perf_counter() - saved > seconds_of(self.settings.save_every):
                    self._save()
                    saved = time.perf_counter()
        self.progress.finish()
        self.state.seconds = self.clock.seconds()
        return self.state

    def _update_in_memory(self, done: float) -> None:
        try:
            self._update(done)
        except torch.cuda.OutOfMemoryError as error:
            raise TinyLMError(
                f"update {self.state.step + 1:,} does not fit into the memory of the GPU; lower batch_size, "
                f"or raise gradient_accumulation_steps, which is {self.settings.gradient_accumulation_steps}"
            ) from error

    def _update(self, done: float) -> None:
        step = self.state.step
        batch = self.batches.take(step)
        sums: dict[str, torch.Tensor] = {}
        mine = batch.part(self.processes.rank, self.processes.size)
        fewest = batch.groups // self.processes.size
        if fewest == 0:
            raise InputError(
                f"a batch of {len(batch.ids)} sequences cannot be shared by {self.processes.size} processes; "
                "raise batch_size"
            )
        # Processes meet after each part, so all make as many.
        for index, part in enumerate(mine.parts(min(self.settings.gradient_accumulation_steps, fewest))):
            generator = torch_generator(
                self.settings.seed, "dropout", step, self.processes.rank, index, device=self.processes.device
            )
            with self._autocast():
                terms = self.workload.loss(self.wrapped, part.to(self.processes.device), generator)
            loss = torch.stack(list(terms.values())).sum()
            # The wrapped module averages gradients over processes; the loss is a mean over the whole batch.
            torch.autograd.backward(loss * (self.processes.size / batch.predictions))
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + term.detach()
        middle = self.clock.middle(step, done)
        rate = self.peak_rate * learning_rate_factor(middle, self.settings.warmup_fraction)
        norm = self.optimiser.update(rate)
        # A device is waited for once an update, and here; each wait before would leave it idle.
        *totals, norm_before = torch.stack([*sums.values(), norm]).tolist()
        means = {name: self.processes.sum(total) / batch.predictions for name, total in zip(sums, totals, strict=True)}
        self._check(next(iter(means.values())), norm_before)
        self.state.step += 1
        self.state.tokens += batch.tokens
        self._log(means, rate)

    def _check(self, loss: float, norm: float) -> None:
        self.state.recent_loss.append(loss)
        average = sum(self.state.recent_loss) / len(self.state.recent_loss)
        exploded = len(self.state.recent_loss) == _LOG_EVERY and average > 2 * self.workload.uniform_loss + 2
        if math.isfinite(loss) and math.isfinite(norm) and not exploded:
            return
        kept = latest(self.folder)
        what = f"a mean loss of {average:.1f}" if exploded else f"a loss of {loss} with a gradient norm of {norm}"
        raise DivergedError(
            f"training diverged: {what} at update {self.state.step + 1:,}; lower the learning rate "
            f"(it was {self.peak_rate:g}) and start again in a new folder; "
            + (f"the last good checkpoint is {kept}" if kept else "no checkpoint had been made yet")
        )

    def _validate(self, done: float) -> None:
        started = time.perf_counter()
        self.workload.model.eval()
        with torch.inference_mode(), self._autocast():
            self.state.validation = self.workload.validate()
            self.state.training = self.workload.measure_training_data()
        self.workload.model.train()
        self.state.evaluations += 1
        self.clock.reserved = time.perf_counter() - started
        measured = {"training": self.state.training} if self.state.training else {}
        self._record({"progress": round(min(done, 1.0), 4), **measured, "validation": self.state.validation})

    def _log(self, terms: Measures, rate: float) -> None:
        now = self.clock.seconds()
        pace = (self.state.tokens - self._logged[1]) / max(now - self._logged[0], 1e-9)
        # The loss that is minimised may be over a sample of the vocabulary, with dropout: it is no measure of the
        # validation's kind, and is shown only where there is no such measure on training data.
        if self.state.training:
            shown = [f"training {name} {value:.3f}" for name, value in self.state.training.items()]
        else:
            shown = [f"loss {next(iter(terms.values())):.3f}"]
        shown += [f"validation {name} {value:.3f}" for name, value in self.state.validation.items()]
        facts = f"{' · '.join(shown)} · {pace:,.0f} tokens/s"
        self.progress.update(now if self.clock.steps is None else self.state.step, facts)
        if len(self.state.recent_loss) < _LOG_EVERY:
            return
        self._record(
            {
                "tokens": self.state.tokens,
                "tokens_per_second": round(pace),
                "learning_rate": rate,
                "minimised_loss": sum(self.state.recent_loss) / len(self.state.recent_loss),
                "terms": terms,
            }
        )
        self.state.recent_loss.clear()
        self._logged = (now, self.state.tokens)

    def _record(self, facts: dict[str, Any]) -> None:
        if not self.processes.is_main:
            return
        line = json.dumps({"step": self.state.step, "seconds": round(self.clock.seconds(), 2), **facts})
        with (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self.state.records += 1

    def _save(self) -> None:
        if self.processes.is_main:
            self.state.seconds = self.clock.seconds()
            save_state(self.folder, self.state, self.workload.model, self.optimiser)

    def _restore(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        found = load_state(self.folder, self.workload.model, self.optimiser)
        if found is not None:
            self.state = found
        if self.processes.is_main:
            metrics = self.folder / METRICS
            lines = metrics.read_text(encoding="utf-8").splitlines(keepends=True) if metrics.exists() else []
            write_text(metrics, "".join(lines[: self.state.records]))
        self.clock.resume(self.state.seconds)
        self._logged = (self.state.seconds, self.state.tokens)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.processes.device, self.precision, enabled=self.precision != torch.float32)
