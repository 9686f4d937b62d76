"""One process of a distributed training stage: ``python -m judgekit.training.worker JOB``.

It is started by ``judgekit.training.ranks``, which says what the two tell each other.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from judgekit.errors import JudgekitError

_MESSAGE_CHARS = 1500
"""So that a line of any process is written whole (at most 4096 bytes at once)."""


class Channel:
    """The line to the process that started this one.

    Standard output becomes standard error for everything else, so that a library's print is no message.
    """

    def __init__(self) -> None:
        self._output = os.dup(1)
        os.dup2(2, 1)
        self._words: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, **message: Any) -> None:
        """Say something."""
        os.write(self._output, json.dumps(message).encode() + b"\n")

    def wait(self) -> str:
        """The next word from the other side."""
        return self._words.get()

    def _listen(self) -> None:
        held = b""
        # Unbuffered reading: a buffer's lock, held here when the interpreter ends, would end it with an error.
        while chunk := os.read(0, 4096):
            *words, held = (held + chunk).split(b"\n")
            for word in words:
                self._words.put(word.decode())
        os._exit(1)


def main() -> int:
    """Take part in the job; 0 when it is done."""
    # Both are for the run, which ends its workers in order; SLURM sends USR2 to every step of a job.
    for word in (signal.SIGINT, signal.SIGUSR2):
        signal.signal(word, signal.SIG_IGN)
    channel = Channel()
    try:
        work(Path(sys.argv[1]), channel)
    except Exception as error:
        traceback.print_exc()
        if isinstance(error, JudgekitError):
            channel.send(error=str(error)[:_MESSAGE_CHARS], kind=type(error).__name__)
        else:
            channel.send(crash=f"{type(error).__name__}: {error}"[:_MESSAGE_CHARS])
        return 2
    return 0


def work(path: Path, channel: Channel) -> None:
    """Train this process's share."""
    from judgekit.training.checkpoints import Checkpoints
    from judgekit.training.fitting import Listener, fit
    from judgekit.training.ranks import STOP
    from judgekit.training.trainer import prepare
    from judgekit.training.training_job import TrainingJob, weights_key

    job = TrainingJob.read(path)
    plan, encoded = prepare(job)
    key = "reference" if job.reference_only else weights_key(job, encoded.units)
    first = _rank(job.trainer.nodes) == 0

    def saved(step: int) -> bool:
        if first:
            channel.send(step=step)
        return channel.wait() == STOP

    fit(plan, Checkpoints(job.work, key), Listener(lambda step, series: channel.send(step=step, series=series), saved))


def _rank(nodes: int) -> int:
    """Rank of this process over all nodes."""
    return int(os.environ["SLURM_PROCID" if nodes > 1 else "LOCAL_RANK"])


if __name__ == "__main__":
    code = main()
    # What libraries leave running (a process group's threads, say) is not waited for.
    sys.stderr.flush()
    os._exit(code)
