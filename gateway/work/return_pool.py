"""Worker processes for the way back: objects of all requests to retrieve are verified by a few of them, in turn."""

from __future__ import annotations

import os
import queue
from concurrent.futures import Future, ThreadPoolExecutor

from gateway.config import Config
from gateway.errors import GatewayError, ResourceError
from gateway.work.process import WorkerProcess
from gateway.work.tasks import Failure, ResultT, Task


class ReturnPool:
    """The processes start with `start`, or when they are needed. For several threads."""

    def __init__(self, config: Config) -> None:
        table = config.retrieve
        count = (table.workers if table else 0) or config.gateway.workers or os.cpu_count() or 1
        self._timeout_s = config.limits.seal_timeout_s
        self._processes = [WorkerProcess(config) for _ in range(count)]
        self._free: queue.SimpleQueue[WorkerProcess] = queue.SimpleQueue()
        for process in self._processes:
            self._free.put(process)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="return")
        self._is_stopped = False

    def start(self) -> None:
        """Start all processes, and return before they run: the first viewer need not wait for networks and keys.

        One that can't be started is tried again with the first task, which then fails with the reason.
        """
        for _ in self._processes:
            self._threads.submit(self._start_one)

    def submit(self, task: Task[ResultT]) -> Future[ResultT]:
        """The result to come. It raises WorkerDied, KeyFileError, and ResourceError with the code of a Failure.

        Raises ResourceError when the pool was stopped.
        """
        try:
            return self._threads.submit(self._run, task)
        except RuntimeError as error:
            raise ResourceError("the gateway stops, or was reloaded", hint="Ask again.") from error

    def stop(self) -> None:
        """At once. Results that are awaited become errors."""
        self._is_stopped = True
        for process in self._processes:
            process.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in self._processes:
            process.stop()

    def _start_one(self) -> None:
        process = self._free.get()
        try:
            if not self._is_stopped and not process.is_started:
                process.start()
        except GatewayError:
            # Told when there is an object that waits for it.
            return
        finally:
            self._free.put(process)

    def _run(self, task: Task[ResultT]) -> ResultT:
        if self._is_stopped:
            raise ResourceError("the gateway stops, or was reloaded", hint="Ask again.")
        process = self._free.get()
        try:
            result, _ = process.run(task, timeout_s=self._timeout_s)
        finally:
            self._free.put(process)
        if isinstance(result, Failure):
            error = ResourceError(result.text, hint=result.hint)
            error.code = result.code
            raise error
        return result
