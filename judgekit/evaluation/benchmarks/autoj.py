"""Auto-J's pairwise test set, Eval-P (Li et al. 2023, arXiv 2310.05470): human preferences in 58 scenarios."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from judgekit.data.records import Record
from judgekit.evaluation.benchmarks.base import BENCHMARKS, Benchmark, Loader
from judgekit.papers import Paper
from judgekit.rows import ResponsePair

if TYPE_CHECKING:
    from judgekit.evaluation.sections import Numbers
    from judgekit.verdict_rows import VerdictRow

_GROUPS: Mapping[str, str] = {
    "Summarization": "post_summarization text_summarization note_summarization",
    "Exam Questions": "math_reasoning solving_exam_question_with_math solving_exam_question_without_math",
    "Code": "code_simplification code_generation explaining_code code_correction_rewriting code_to_code_translation",
    "Rewriting": "text_simplification language_polishing instructional_rewriting text_correction paraphrasing",
    "Creative Writing": (
        "writing_song_lyrics writing_social_media_post writing_blog_post writing_personal_essay creative_writing "
        "writing_advertisement writing_marketing_materials writing_presentation_script counterfactual"
    ),
    "Functional Writing": (
        "writing_product_description writing_job_application writing_news_article writing_biography writing_email "
        "writing_legal_document writing_technical_document writing_scientific_paper functional_writing "
        "writing_cooking_recipe"
    ),
    "General Communication": (
        "asking_how_to_question open_question analyzing_general explaining_general seeking_advice recommendation "
        "value_judgement verifying_fact chitchat roleplay planning brainstorming"
    ),
    "NLP Tasks": (
        "ranking text_to_text_translation data_analysis classification_identification title_generation "
        "question_generation reading_comprehension keywords_extraction information_extraction topic_modeling others"
    ),
}
GROUP_OF: Mapping[str, str] = {name: group for group, names in _GROUPS.items() for name in names.split()}
"""Group by scenario, as in the release's leaderboard."""


def _pair(record: Record, folder: str) -> Iterator[ResponsePair]:
    yield ResponsePair(
        id=f"autoj/{record.line - 1}",
        instruction=record.asked("prompt"),
        response_a=record.text("response 1"),
        response_b=record.text("response 2"),
        label=record.choice("label", {0: "A", 1: "B", 2: "tie"}),
        subset=record.asked("scenario"),
    )


def autoj(
    pairs: Sequence[ResponsePair], verdicts: Sequence[VerdictRow], *, resamples: int = 1000, seed: int = 0
) -> Numbers:
    """The leaderboard's table: agreement and consistency in each of eight groups of scenarios, and over all rows.

    Agreement is that of both orders (``pairwise`` in the release's code); a judge that rates single responses says the
    same in both, so that it is its ``single`` too.
    """
    from judgekit.evaluation.verdict_metrics import score

    grouped = [replace(pair, subset=GROUP_OF.get(pair.subset or "")) for pair in pairs]
    found = score(grouped, verdicts, resamples=resamples, seed=seed)
    told = {"agreement": "consistent_accuracy", "consistency": "consistency"}
    return {
        group: {new + end: values[old + end] for new, old in told.items() for end in ("", "_ci95")}
        for group, values in {**found.subsets, "overall": found.overall}.items()
    }


LOADER = Loader(
    _pair, ("scenario", "label", "prompt", "response 1", "response 2"), "testdata_pairwise.jsonl", inside="data/test"
)
BENCHMARKS.add("autoj", Benchmark(LOADER, aggregate=autoj, paper=Paper("Auto-J", "2310.05470")))
