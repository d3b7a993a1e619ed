"""The worker process of one preparer, kept running, and the process that marks objects while it can't run."""

from __future__ import annotations

import time

from gateway.errors import GatewayError, ResourceError
from gateway.runtime.backoff import delay_s
from gateway.work.context import TROUBLE_PAUSE_S, WorkContext
from gateway.work.process import WorkerProcess
from gateway.work.tasks import CheckpointTask, Failure, MarkTask, Outcome, ReleaseTask, SealTask, VerifyTask

# Seconds between attempts to start a worker process.
START_AGAIN_MAX_S = 30.0


class SupervisedWorker:
    """Starts the worker process when it is needed and there is hope. For one thread, except `kill`.

    trouble: why no worker process could be started, None when it could.
    """

    def __init__(self, context: WorkContext) -> None:
        self._context = context
        self._process = WorkerProcess(context.config)
        self._marker = WorkerProcess(context.config, marks_only=True)
        self._failed_starts, self._start_at = 0, 0.0
        self.trouble: GatewayError | None = None

    @property
    def pid(self) -> int | None:
        """None while no process runs."""
        return self._process.pid

    @property
    def is_started(self) -> bool:
        """Whether the process was started and nobody has noticed its end."""
        return self._process.is_started

    def start(self) -> bool:
        """Whether the process runs now. If not, `trouble` says why, and `ready` tries again later."""
        context = self._context
        try:
            self._process.start()
        except GatewayError as error:
            self._failed_starts += 1
            self._start_at = time.monotonic() + delay_s(
                self._failed_starts, first_s=TROUBLE_PAUSE_S, most_s=START_AGAIN_MAX_S
            )
            self.trouble = error
            context.metrics.count("sealgate_failures_total", step="start", code=error.code)
            context.log.error(
                "no worker process: nothing is sealed or restored",
                code=error.code,
                problem=str(error),
                hint=error.hint,
            )
            return False
        if self.trouble is not None:
            context.log.info("worker process again")
        self.trouble, self._failed_starts = None, 0
        self._marker.stop()
        context.metrics.set("sealgate_codec_info", 1, provider=self._process.provider)
        return True

    def ready(self) -> bool:
        """Whether there is a worker process. It is started now if it is time to try."""
        if self._process.is_started:
            return True
        return time.monotonic() >= self._start_at and self.start()

    def run(self, task: SealTask | VerifyTask | ReleaseTask) -> tuple[Outcome | Failure, float]:
        """Return what came of the task, and its seconds. Raises WorkerDied, ResourceError, KeyFileError."""
        return self._process.run(task, timeout_s=self._context.config.limits.seal_timeout_s)

    def sign(self, text: bytes) -> tuple[bytes, str]:
        """A checkpoint of the ledger, signed, and the verifier key of the signer.

        Raises WorkerDied, ResourceError, KeyFileError.
        """
        result, _ = self._process.run(
            CheckpointTask(text=text), timeout_s=self._context.config.limits.seal_timeout_s
        )
        if isinstance(result, Failure):
            error = ResourceError("the checkpoint of the ledger was not signed", hint=result.hint)
            error.code = result.code
            raise error
        return result.note, result.verifier_key

    def mark(self, task: MarkTask) -> tuple[Outcome | Failure, float]:
        """The same for a mark. While the worker process can't be started, a process of its own writes it."""
        process = self._process if self.trouble is None else self._marker
        return process.run(task, timeout_s=self._context.config.limits.seal_timeout_s)

    def stop(self) -> None:
        self._process.stop()
        self._marker.stop()

    def kill(self) -> None:
        """From another thread: `run` and `mark` raise WorkerDied there."""
        self._process.kill()
        self._marker.kill()
