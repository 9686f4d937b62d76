"""Self-Taught Evaluators (arXiv 2408.02666): a judge made from its own judgments on pairs built to have a right answer.

Select instructions and build a worse response to each, once. Then iterate: the judge so far samples N judgments of
every pair, those that disagree with the construction are rejected, and the *seed* is fine-tuned on what is kept. As in
the released models, preference training on right against wrong judgments may follow (``loss=dpo``).
"""

from __future__ import annotations

from dataclasses import asdict

from judgekit.preferences.rejection import Rules, contrasts, demonstrations
from judgekit.prompts.base import PairProtocol, WorkedProtocol, pair_protocol
from judgekit.recipes.judgments import sample_judgments, write_training_rows
from judgekit.recipes.lab import Handle, Judge, Lab, Outcome
from judgekit.recipes.measuring import Measured, validation
from judgekit.recipes.selection import select_instructions
from judgekit.recipes.stages import make_splits
from judgekit.recipes.training import train_judge
from judgekit.recipes.warm_start import warm_judge
from judgekit.rows import Judgment, ResponsePair, read_rows
from judgekit.schema.recipes import SelfTaughtConfig
from judgekit.store import Artifact, Workspace

FIRST_NEGATIVE = 100_000
"""Number of the first judgment sampled for negatives only, so that numbers tell them from the others."""


def self_taught(lab: Lab) -> Outcome:
    """The whole recipe."""
    recipe, protocol = lab.recipe(SelfTaughtConfig), pair_protocol(lab.config.prompt)
    start = recipe.warm_start
    choose = (lambda rows: select_instructions(lab, rows, recipe.selection)) if recipe.selection.enabled else None
    warm = start.examples if start.enabled else 0
    splits = make_splits(lab, warm, start.categories, second_round=False, choose=choose)
    score = validation(lab, splits, protocol)
    validate = score if recipe.validate else None
    measured = Measured(lab, splits, protocol)

    seed = measured.add(Judge("seed", None))
    if start.enabled:
        assert isinstance(protocol, WorkedProtocol)
        seed = measured.add(warm_judge(lab, splits, seed, protocol, start, score))

    judge = seed
    for number in range(1, recipe.iterations + 1):
        name = f"iter{number}"
        judgments = sample_judgments(lab, f"judgments/{name}", splits, judge, protocol, recipe.judgments)
        kept = keep_correct(lab, name, splits, judgments, protocol)
        trained = measured.add(train_judge(lab, name, "sft", kept, seed, recipe.sft, validate, [splits]))
        if lab.config.loss.name != "sft" and (recipe.preference_rounds == "every" or number == recipe.iterations):
            negatives = sample_negatives(lab, name, splits, judge, protocol)
            pairs = pair_up(lab, name, splits, judgments, negatives, protocol)
            trained = train_judge(lab, f"dpo{number}", "dpo", pairs, trained, recipe.dpo, validate, [splits])
            measured.add(trained)
        judge = trained
    if recipe.votes:
        measured.add(Judge(f"{judge.name}-vote{recipe.votes}", judge.stage, votes=recipe.votes))
    return measured.outcome()


def sample_negatives(lab: Lab, name: str, splits: Handle, judge: Judge, protocol: PairProtocol) -> Handle | None:
    """N more judgments at a higher temperature, of which only incorrect ones are used; None where not asked for."""
    recipe = lab.recipe(SelfTaughtConfig)
    if recipe.negative_temperature is None:
        return None
    return sample_judgments(
        lab, f"negatives/{name}", splits, judge, protocol, recipe.judgments,
        temperature=recipe.negative_temperature, first=FIRST_NEGATIVE,
    )  # fmt: skip


def keep_correct(lab: Lab, name: str, splits: Handle, judgments: Handle, protocol: PairProtocol) -> Handle:
    """Rejection sampling: one correct judgment of every prompt that has one, A and B balanced."""
    rules = selection_rules(lab)

    def build(workspace: Workspace) -> None:
        pairs, rows = _training_pairs(splits), _judgments(judgments)
        found = demonstrations(pairs, rows, rules)
        write_training_rows(
            workspace, "demonstrations", f"judgments of {name}", found.kept, found.dropped, pairs, protocol, REMEDY
        )

    config = _rules_for(rules, _DEMONSTRATION_RULES) | {"prompt": asdict(lab.config.prompt)}
    return lab.stage(f"demonstrations/{name}", 1, config, [splits, judgments], build)


def pair_up(
    lab: Lab, name: str, splits: Handle, judgments: Handle, negatives: Handle | None, protocol: PairProtocol
) -> Handle:
    """Correct against incorrect judgments of the same prompt."""
    rules = selection_rules(lab)

    def build(workspace: Workspace) -> None:
        pairs, rows = _training_pairs(splits), _judgments(judgments)
        found = contrasts(pairs, rows, rules, _judgments(negatives) if negatives is not None else ())
        write_training_rows(
            workspace, "preferences", f"judgments of {name}", found.kept, found.dropped, pairs, protocol, REMEDY
        )

    config = _rules_for(rules, _PREFERENCE_RULES) | {"prompt": asdict(lab.config.prompt)}
    inputs = [splits, judgments, *([negatives] if negatives is not None else [])]
    return lab.stage(f"preferences/{name}", 1, config, inputs, build)


REMEDY = (
    "A seed that never judges right needs recipe.warm_start.enabled=true, more recipe.judgments or a higher "
    "sampler.temperature."
)

_SHARED_RULES = ("seed", "balance_labels", "drop_conflicting", "max_chars")
_DEMONSTRATION_RULES = (*_SHARED_RULES, "per_order", "majority_fraction")
_PREFERENCE_RULES = (*_SHARED_RULES, "num_pairs", "wrong_as_negative", "tie_as_negative", "invalid_as_negative")


def selection_rules(lab: Lab) -> Rules:
    """The configured rules of rejection sampling."""
    recipe, bias = lab.recipe(SelfTaughtConfig), lab.config.bias
    return Rules(
        seed=lab.config.seed,
        per_order=recipe.sft_per_order,
        majority_fraction=recipe.majority_fraction,
        balance_labels=bias.balance_labels,
        drop_conflicting=bias.drop_conflicting,
        max_chars=bias.max_judgment_chars,
        num_pairs=recipe.num_pairs,
        wrong_as_negative=recipe.wrong_as_negative,
        tie_as_negative=recipe.tie_as_negative,
        invalid_as_negative=recipe.invalid_as_negative,
    )


def _rules_for(rules: Rules, names: tuple[str, ...]) -> dict[str, object]:
    """The rules that determine a stage, and no others: a sweep over one selects nothing else anew."""
    return {name: getattr(rules, name) for name in names}


def _training_pairs(splits: Handle) -> list[ResponsePair]:
    assert isinstance(splits, Artifact)
    return read_rows(splits.file("d1.jsonl"), ResponsePair)


def _judgments(stage: Handle) -> list[Judgment]:
    assert isinstance(stage, Artifact)
    return read_rows(stage.file("judgments.jsonl"), Judgment)
