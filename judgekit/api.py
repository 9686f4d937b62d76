"""judgekit from Python: a judge to ask, and measures of what it says.

Everything here is also an attribute of ``judgekit`` itself::

    import judgekit

    pairs = judgekit.read_pairs("pairs.jsonl")
    with judgekit.Judge("outputs/demo") as judge:
        verdicts = judge.compare(pairs)
        print(judgekit.evaluate(judge, pairs)["consistent_accuracy"])
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from judgekit.data.logs import read_verdicts
from judgekit.data.sources import read_pairs
from judgekit.errors import ConfigError, DataError, Problem
from judgekit.evaluation.benchmarks import check_labels, load_benchmark, load_scored
from judgekit.evaluation.benchmarks.base import BENCHMARKS, BenchmarkConfig
from judgekit.evaluation.flat_metrics import Numbers, benchmark_numbers, point_numbers
from judgekit.evaluation.judging import judge_pairs, rate_responses
from judgekit.evaluation.verdict_metrics import VerdictMetrics, score
from judgekit.judges import OpenJudge, open_judge
from judgekit.named_judge import judge_config
from judgekit.prompts.base import PROMPTS, PointProtocol, PromptConfig
from judgekit.rows import ORDERS, Order, Response, ResponsePair, ScoredResponse
from judgekit.samplers.base import SamplerConfig
from judgekit.samplers.hf import HfConfig
from judgekit.sampling.backends import MakeSampler
from judgekit.sampling.base import SamplingParams
from judgekit.schema.judges import JudgeConfig
from judgekit.score_rows import ScoreRow, mean_scores
from judgekit.verdict_rows import MergeRule, VerdictRow

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Evaluation", "Judge", "Measure", "Response", "ResponsePair", "ScoreRow", "ScoredResponse", "VerdictMetrics",
    "VerdictRow", "evaluate", "read_pairs", "read_verdicts", "score",
]  # fmt: skip


class Judge:
    """A judge ready to be asked. Use it as a context manager, or close it.

    Replies are kept in the store: asking the same again costs nothing.

    :ivar name: name in reports
    """

    def __init__(
        self,
        source: str | Path | JudgeConfig | None = None,
        *,
        prompt: str | PromptConfig | None = None,
        sampler: SamplerConfig | None = None,
        store: str | Path = "outputs/store",
        make_sampler: MakeSampler | None = None,
    ) -> None:
        """Find the judge; weights are loaded when it is first asked.

        :param source: folder of a run, an adapter or a model; ``ORGANISATION/NAME@COMMIT``; the name of a file in
            conf/model; or a ``JudgeConfig``. None: the model of the server that ``sampler`` names
        :param prompt: a protocol or its name (``pairwise``, ``rating``); None: the one a run's judge brings
        :param sampler: back end; None: transformers on this machine
        :param store: folder that keeps replies
        :param make_sampler: a back end of one's own for the judge's weights
        :raises ConfigError: a judge that cannot be asked so
        :raises ModelError: not a judge, or its weights cannot be had
        """
        self._sampler = sampler or HfConfig()
        config = _config(source)
        self._stack = ExitStack()
        opened = open_judge(config, self._sampler, _prompt(prompt), Path(store), None, make_sampler)
        self._opened: OpenJudge = self._stack.enter_context(opened)
        self.name = self._opened.name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give memory, connections and files back."""
        self._stack.close()

    @property
    def scale(self) -> tuple[float, float] | None:
        """Worst and best score, for judges that score; None for those that compare."""
        protocol = self._opened.protocol
        return protocol.scale if isinstance(protocol, PointProtocol) else None

    def compare(
        self, pairs: Iterable[ResponsePair], *, orders: Sequence[Order] = ORDERS, samples: int = 1, seed: int = 0
    ) -> list[VerdictRow]:
        """One verdict per pair, order and sample, in that order. A verdict names the response, not the position.

        :param samples: 1: greedy; more: drawn at the sampler's temperature
        :param seed: of drawn samples
        :raises DataError: two pairs have one id
        """
        rows = list(pairs)
        _unique([pair.id for pair in rows])
        judge = self._opened
        return judge_pairs(
            judge.ask, judge.protocol, judge.decoding.shown(rows), orders, self._params(samples, seed),
            constrained=judge.decoding.constrained, samples=range(samples),
        )  # fmt: skip

    def rate(
        self, responses: Iterable[Response | ScoredResponse], *, samples: int = 1, seed: int = 0
    ) -> list[ScoreRow]:
        """One score per response and sample, in that order. Human scores of the rows are not shown to the judge.

        :param samples: as in ``compare``
        :raises ConfigError: the judge compares two responses and scores none
        :raises DataError: two responses have one id
        """
        judge = self._opened
        if not isinstance(judge.protocol, PointProtocol):
            message = f"the protocol '{judge.prompt.name}' compares two responses, and single ones are to be scored"
            raise ConfigError([Problem("prompt", message, "Use prompt='rating'")])
        rows = [row.shown if isinstance(row, ScoredResponse) else row for row in responses]
        _unique([row.id for row in rows])
        rows = list(judge.decoding.shown(rows))
        return rate_responses(judge.ask, judge.protocol, rows, self._params(samples, seed), samples=range(samples))

    def _params(self, samples: int, seed: int) -> SamplingParams:
        """Greedy for a single sample, drawn otherwise."""
        decoding, sampler = self._opened.decoding, self._sampler
        return decoding.greedy if samples == 1 else decoding.drawn(sampler.temperature, sampler.top_p, seed)


def _config(source: str | Path | JudgeConfig | None) -> JudgeConfig:
    if source is None:
        return JudgeConfig()
    return source if isinstance(source, JudgeConfig) else judge_config(source)


def _prompt(prompt: str | PromptConfig | None) -> PromptConfig | None:
    if not isinstance(prompt, str):
        return prompt
    return PROMPTS.find(prompt, "prompt")()


def _unique(ids: Sequence[str]) -> None:
    if len(set(ids)) < len(ids):
        twice = next(name for place, name in enumerate(ids) if name in ids[:place])
        raise DataError(f"'{twice}' is there twice; give every row its own id", file="rows", field="id")


@dataclass(frozen=True, slots=True)
class Measure:
    """One number.

    :param name: as in ``metrics.json``
    :param subset: the part of the data it is of; None: all
    :param value: None where it does not apply
    :param low: lower end of the 95 % interval, None where there is none; ``high`` the upper
    """

    name: str
    subset: str | None
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Evaluation(Mapping[str, Measure]):
    """Measures of a judge: a mapping from names to those over all data, and rows of all.

    :param judge: the judge's name
    :param measures: overall and by subset
    :param verdicts: what it said of pairs; ``scores`` of single responses
    """

    judge: str
    measures: tuple[Measure, ...]
    verdicts: tuple[VerdictRow, ...] = ()
    scores: tuple[ScoreRow, ...] = ()

    def __getitem__(self, name: str) -> Measure:
        """The measure over all data."""
        for measure in self.measures:
            if measure.name == name and measure.subset is None:
                return measure
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        """Names of measures over all data."""
        return (measure.name for measure in self.measures if measure.subset is None)

    def __len__(self) -> int:
        """Measures over all data."""
        return sum(measure.subset is None for measure in self.measures)

    def to_rows(self) -> list[dict[str, Any]]:
        """One row a measure: judge, subset, name, value, low, high."""
        return [{"judge": self.judge, **asdict(measure)} for measure in self.measures]

    def to_frame(self) -> pd.DataFrame:
        """``to_rows`` as a data frame."""
        import pandas as pd

        return pd.DataFrame(self.to_rows())


def evaluate(
    judge: Judge,
    data: str | Iterable[ResponsePair] | Iterable[ScoredResponse],
    path: str | Path | None = None,
    *,
    limit: int | None = None,
    samples: int = 1,
    merge: MergeRule | None = None,
    invalid_as: Literal["tie"] | None = None,
    seed: int = 0,
) -> Evaluation:
    """Ask a judge about labelled pairs (in both orders) or scored responses, and measure what it says.

    :param data: rows, or the kind of a benchmark (``llmbar``, ``judgebench`` ...); a judge that scores is measured on
        single responses where the benchmark has human scores of them
    :param path: the benchmark's file or folder
    :param limit: rows of a benchmark at most, whole groups of one prompt spread evenly; None: all
    :param samples: more than 1: the majority verdict, or the mean score, of so many
    :param merge: rule that makes one verdict of both orders; None: that of the benchmark's release
    :param invalid_as: as in ``score``
    :param seed: of drawn samples and bootstrap resamples
    :raises ConfigError: a benchmark that is not known, or rows this judge cannot be asked about
    :raises DataError: rows that cannot be read, or none, or pairs without any label
    """
    kind, rows = _rows(judge, data, path, limit) if isinstance(data, str) else ("pairs", list(data))
    if not rows:
        raise DataError("there are no rows to judge", file=str(path or "data"))
    scored = [row for row in rows if isinstance(row, ScoredResponse)]
    if scored:
        rated = judge.rate(scored, samples=samples, seed=seed)
        scale = judge.scale
        assert scale is not None
        numbers = point_numbers("", scored, mean_scores(rated), scale, seed=seed)
        return Evaluation(judge.name, _measures(numbers), scores=tuple(rated))
    pairs = [row for row in rows if isinstance(row, ResponsePair)]
    check_labels(pairs, str(path or "data"))
    verdicts = judge.compare(pairs, samples=samples, seed=seed)
    numbers = benchmark_numbers("", kind, pairs, verdicts, seed=seed, merge=merge, invalid_as=invalid_as)
    return Evaluation(judge.name, _measures(numbers), verdicts=tuple(verdicts))


def _rows(
    judge: Judge, kind: str, path: str | Path | None, limit: int | None
) -> tuple[str, list[ResponsePair] | list[ScoredResponse]]:
    from judgekit.schema.validation import build

    values = {"kind": kind, "path": None if path is None else str(path), "limit": limit}
    config, problems = build(BenchmarkConfig, values, f"benchmark.{kind}")
    if not problems and path is None:
        problems = [Problem(f"benchmark.{kind}.path", "it is not said where its files lie", "Give path=")]
    if problems:
        raise ConfigError(problems)
    if judge.scale is not None and BENCHMARKS[kind].scored is not None:
        return kind, load_scored(kind, config) or []
    return kind, load_benchmark(kind, config, ()) or []


def _measures(numbers: Numbers) -> tuple[Measure, ...]:
    """Flat names ``/SUBSET/NAME`` as measures; their ends of intervals go with them."""
    measures = []
    for path, value in numbers.items():
        if path.endswith(("_ci95_low", "_ci95_high")):
            continue
        subset, _, name = path.rpartition("/")
        low, high = (numbers.get(f"{path}_ci95_{end}") for end in ("low", "high"))
        measures.append(Measure(name, subset.strip("/") or None, value, low, high))
    return tuple(measures)
