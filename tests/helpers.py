"""Stand-ins shared by tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from judgekit.randomness import digest
from judgekit.rows import write_rows
from judgekit.sampling.base import Batch, Finished, Generation, Request
from judgekit.schema.models import ModelConfig
from judgekit.stages.stage import Stage, unkeyed
from judgekit.store import Workspace


def echo(request: Request, sample: int) -> str:
    return f"{request.id}: sample {sample} at {request.params.temperature}"


class ScriptedSampler:
    """Answers from a script instead of a model.

    :param reply: text of one sample
    :param batch_size: samples generated together
    :param entangled: let every reply name its whole batch, as low precision does in a subtler way
    :param log: file that gets a line for every batch begun, over all processes
    :param pause: seconds a batch takes
    """

    def __init__(
        self,
        reply: Callable[[Request, int], str] = echo,
        *,
        batch_size: int = 4,
        entangled: bool = False,
        log: Path | None = None,
        pause: float = 0.0,
    ) -> None:
        self.reply, self.batch_size, self.entangled, self.log, self.pause = reply, batch_size, entangled, log, pause
        self.batches: list[Batch] = []

    def plan(self, requests: Sequence[Request]) -> list[Batch]:
        order = sorted(range(len(requests)), key=lambda index: (len(requests[index].prompt_ids), index))
        items = [(index, sample) for index in order for sample in requests[index].samples]
        return [tuple(items[start : start + self.batch_size]) for start in range(0, len(items), self.batch_size)]

    def stream(self, requests: Sequence[Request], batches: Iterator[Batch]) -> Iterator[Finished]:
        for batch in batches:
            yield list(zip(batch, self.run(requests, batch), strict=True))

    def close(self) -> None:
        """There is nothing to give back."""

    def run(self, requests: Sequence[Request], batch: Batch) -> list[Generation]:
        self.batches.append(batch)
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{batch}\n")
        time.sleep(self.pause)
        mark = f" [{digest(batch)}]" if self.entangled else ""
        return [self._generate(requests[index], sample, mark) for index, sample in batch]

    def _generate(self, request: Request, sample: int, mark: str) -> Generation:
        text = self.reply(request, sample) + mark
        return Generation(text, tuple(text.encode()), "eos", prompt_tokens=len(request.prompt_ids))


@dataclass(frozen=True, kw_only=True)
class Given(Stage):
    """A stage whose files a test gives: rows by the name of their file."""

    label = "given/{called}"
    called: str
    files: Mapping[str, Sequence[Any]] = unkeyed("a test uses a store of its own")

    def build(self, workspace: Workspace) -> None:
        for name, rows in self.files.items():
            write_rows(workspace.path / f"{name}.jsonl", rows)


def seed_model(**changes: Any) -> ModelConfig:
    """The seed model of the demonstrations, ``model=smollm2_135m``, with some values changed."""
    from judgekit.schema.composition import Composer
    from judgekit.schema.config import RunConfig

    config = Composer().job(["model=smollm2_135m"]).config
    assert isinstance(config, RunConfig)
    return replace(config.model, **changes)
