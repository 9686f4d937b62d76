"""Cards of exported judges and data: markdown under the metadata that the Hugging Face hub reads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import yaml
from huggingface_hub import EvalResult, ModelCardData

from judgekit.evaluation.benchmarks.base import BENCHMARKS
from judgekit.export.conversations import RowsFile
from judgekit.export.finished_run import ExportRun
from judgekit.export.snippets import model_snippets
from judgekit.papers import Paper
from judgekit.recipes.base import RECIPES
from judgekit.report.results_table import heading, results_markdown

Kind = Literal["adapter", "model"]

_HEADLINE = ("accuracy", "consistent_accuracy")


def judge_card(run: ExportRun, kind: Kind) -> str:
    """``README.md`` of an exported judge.

    :param kind: ``adapter``: PEFT adapter; ``model``: whole weights
    """
    title = f"{_text(run.manifest['name'])}: an LLM judge made from {_text(run.model.name)}"
    sections = [
        f"# {title}",
        _introduction(run, kind),
        "## Results",
        _results(run),
        "## How to ask",
        _asking(run),
        *model_snippets(run, kind),
        "## How it was made",
        _making(run),
        "## Training data",
        _stages(run),
        "## Licences",
        _licences(run),
        "## Limitations",
        _limitations(run, kind),
        *_citation(run),
    ]
    return f"---\n{_judge_metadata(run, kind)}\n---\n\n" + "\n\n".join(sections) + "\n"


def data_card(run: ExportRun, files: Sequence[RowsFile]) -> str:
    """``README.md`` of exported training rows; every file is a configuration that ``datasets`` loads by its name."""
    metadata = {
        "tags": ["llm-as-a-judge", "judgekit", "trl"],
        "configs": [{"config_name": file.name.removesuffix(".jsonl"), "data_files": file.name} for file in files],
    }
    lines = ["| file | stage | rows | SHA-256 |", "|---|---|---:|---|"]
    lines += [f"| `{file.name}` | {_text(file.stage)} | {file.rows} | `{file.sha256}` |" for file in files]
    sections = [
        f"# Training rows of {_text(run.manifest['name'])}",
        "Rows in the conversational format of TRL: `prompt` and `completion` for supervised fine-tuning, `prompt`, "
        "`chosen` and `rejected` for preference training; each value is a list of messages. The judgments were written "
        f"by {_base_name(run)} and models trained from it, and chosen or rejected by whether their verdict was right; "
        "those of a stage `worked` were written by a program.",
        "\n".join(lines),
        "## Where the rows come from",
        _stages(run),
        "## Licences",
        _licences(run),
    ]
    return f"---\n{_yaml(metadata)}\n---\n\n" + "\n\n".join(sections) + "\n"


def _judge_metadata(run: ExportRun, kind: Kind) -> str:
    trained = "adapter" if kind == "adapter" else "finetune"
    data: Any = ModelCardData(
        base_model=run.model.hub_id,
        license=run.model.license,
        library_name="peft" if kind == "adapter" else "transformers",
        pipeline_tag="text-generation",
        tags=["llm-as-a-judge", "judgekit", str(run.config["recipe"]["name"])],
        model_name=str(run.manifest["name"]),
        eval_results=_eval_results(run),
        base_model_relation=trained if run.model.hub_id is not None else None,
    )
    return _yaml({name: value for name, value in data.to_dict().items() if value is not None})


def _eval_results(run: ExportRun) -> list[EvalResult] | None:
    results = []
    for benchmark in _benchmarks(run):
        for metric in _HEADLINE:
            value = run.metrics.get(f"eval/{_last_judge(run)}/{benchmark}/{metric}")
            if value is not None:
                results.append(
                    EvalResult(
                        task_type="text-generation",
                        task_name="pairwise judging",
                        dataset_type=benchmark,
                        dataset_name=benchmark,
                        metric_type=metric,
                        metric_name=heading(metric),
                        metric_value=round(value, 4),
                    )
                )
    return results or None


def _introduction(run: ExportRun, kind: Kind) -> str:
    paper = _paper(run)
    recipe = paper.link if paper is not None else _text(run.config["recipe"]["name"])
    what = "A PEFT adapter" if kind == "adapter" else "Whole weights"
    merged = " with the trained adapter merged in" if kind == "model" and run.is_adapter else ""
    return (
        f"{what} of {_base_name(run)}{merged}: a judge that compares two answers to one instruction, trained with "
        f"judgekit {run.manifest['versions'].get('judgekit-lab', '')} by the recipe {recipe}. This is the judge "
        f"`{_last_judge(run)}` of the tables below; `seed` is the base model itself."
    )


def _paper(run: ExportRun) -> Paper | None:
    recipe = RECIPES.get(run.config["recipe"]["name"])
    return recipe.paper if recipe is not None else None


def _citation(run: ExportRun) -> list[str]:
    paper = _paper(run)
    return [] if paper is None else ["## Citation", f"```bibtex\n{paper.bibtex}\n```"]


def _results(run: ExportRun) -> str:
    judges, benchmarks = list(run.manifest["judges"]), _benchmarks(run)
    tables = results_markdown(run.metrics, judges, benchmarks)
    if not tables:
        return "No benchmark was run."
    kinds = [str(run.config["benchmark"][name]["kind"]) for name in benchmarks if name in run.config["benchmark"]]
    links = {paper.link: None for kind in kinds if kind in BENCHMARKS and (paper := BENCHMARKS[kind].paper) is not None}
    released = f" Benchmarks: {', '.join(links)}." if links else ""
    return (
        f"{tables}\nEvery pair is judged greedily in both orders. *Consistent accuracy*: right in both orders. "
        "*First position*: verdicts for the answer shown first, 50 % without position bias. *Invalid*: replies without "
        "a verdict, which count as wrong. Intervals are bootstraps over instructions." + released
    )


def _asking(run: ExportRun) -> str:
    protocol, ending = run.judge["protocol"], run.prompt.ending
    decoding = run.judge["decoding"]
    how = "by beam search" if decoding.get("beams", 1) > 1 else "greedily"
    wording = f", wording `{protocol['style']}`" if "style" in protocol else ""
    told = "read by `judgekit judge`" if ending is None else f"{ending.told}: count it, do not guess"
    return (
        f"Protocol `{protocol['name']}`{wording}. `prompt.json` holds the chat messages with the slots "
        f"`{{instruction}}`, `{{response_a}}` and `{{response_b}}`. Decode {how}, at most "
        f"{decoding['max_new_tokens']} new tokens. The reply is {told}. Ask in both orders and trust a "
        "verdict that stays the same."
    )


def _making(run: ExportRun) -> str:
    manifest, config = run.manifest, run.config
    git = manifest.get("git") or {}
    made = {"judgekit revision": git["revision"]} if git.get("revision") else {}
    facts = {
        "run": manifest["run_id"],
        "finished": manifest["finished"],
        "seed of random choices": manifest["seed"],
        "base model": run.model.hub_id or run.model.name,
        "base model commit": run.model.revision or "none",
        "base weights used": _base_source(run),
        **made,
        **{name: version for name, version in manifest["versions"].items() if name != "judgekit-lab"},
    }
    table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {_text(value)} |" for name, value in facts.items())])
    sections = {name: config[name] for name in ("recipe", "loss", "bias", "trainer")}
    return f"{table}\n\n```yaml\n{_yaml(sections)}\n```"


def _stages(run: ExportRun) -> str:
    """Every stage with its digest, which is determined by configuration, inputs and weights."""
    lines = ["| stage | rows | dropped | digest |", "|---|---|---:|---|"]
    for stage in run.manifest["stages"]:
        rows = ", ".join(f"{count} {_text(what)}" for what, count in stage["rows"].items())
        lines.append(f"| {_text(stage['name'])} | {rows} | {sum(stage['dropped'].values())} | `{stage['digest']}` |")
    return "\n".join(lines)


def _licences(run: ExportRun) -> str:
    lines = [f"- base model {_base_name(run)}: {_licence(run.model.license)}; it also covers what is derived from it"]
    for name, source in run.config["data"]["sources"].items():
        where = _text(source.get("hub_id") or source["kind"])
        lines.append(f"- data source {_text(name)} ({where}): {_licence(source.get('license'))}")
    return "\n".join(lines)


def _licence(name: str | None) -> str:
    return _text(name) if name else "unknown; find out before you share this"


def _limitations(run: ExportRun, kind: Kind) -> str:
    metrics, judge = run.metrics, _last_judge(run)
    lines = []
    for benchmark in _benchmarks(run):
        prefix = f"eval/{judge}/{benchmark}"
        n, consistency = metrics.get(f"{prefix}/n"), metrics.get(f"{prefix}/consistency")
        if n is not None and consistency is not None:
            lines.append(
                f"On {_text(benchmark)} ({int(n)} pairs) swapping the two answers changes or voids the verdict of "
                f"{100 * (1 - consistency):.0f} % of pairs."
            )
    left_out = [name for name, info in run.manifest["benchmarks"].items() if (info or {}).get("left_out")]
    if left_out:
        lines.append(f"Not measured on: {', '.join(map(_text, left_out))}.")
    lines.append(f"Trained on {_categories(run)}; elsewhere its verdicts are unproven. The prompt is English.")
    lines.append(
        f"At most {run.model.max_length} tokens of prompt and reply. Chat markers such as `<|im_start|>` inside the "
        "texts to be judged must be encoded as plain text (`split_special_tokens=True`) or removed."
    )
    if run.judge["decoding"]["verdict"] == "constrained":
        lines.append("Measured with the verdict chosen among the allowed ones; free decoding may give none.")
    if kind == "model" and run.is_adapter:
        lines.append(f"Merged in fp32 and rounded to {run.model.dtype}; the results are those of the unmerged adapter.")
    if run.is_adapter and run.model.hub_id and not run.trained_on_hub:
        lines.append("The adapter belongs to the base weights named above; those of the hub may differ slightly.")
    return "\n".join(f"- {line}" for line in lines)


def _categories(run: ExportRun) -> str:
    return "pairs from " + ", ".join(_text(name) for name in run.config["data"]["sources"])


def _base_name(run: ExportRun) -> str:
    return f"`{run.model.hub_id}`" if run.model.hub_id else _text(run.model.name)


def _base_source(run: ExportRun) -> str:
    model = run.model
    if model.path is not None:
        return "a local folder"
    if run.trained_on_hub or model.wheel is None:
        return "the hub's"
    return f"converted from {model.wheel_file} in the wheel {model.wheel} (SHA-256 {model.wheel_sha256})"


def _last_judge(run: ExportRun) -> str:
    return str(run.judge["judge"])


def _benchmarks(run: ExportRun) -> list[str]:
    benchmarks: Mapping[str, Any] = run.manifest["benchmarks"]
    return [name for name, info in benchmarks.items() if not (info or {}).get("left_out")]


def _text(value: object) -> str:
    """Outside text on one markdown line: no markup, no table cells, no control characters."""
    line = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+", " ", str(value))
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", line)


def _yaml(values: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)).rstrip()
