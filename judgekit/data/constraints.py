"""Verifiable format constraints: instructions whose answers a program can check.

Each kind has a way to ask for it, a way to write it and a checker. The rejected response of a pair carries the
same content in *another* kind, so nothing but the requirement of the instruction tells which is better.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from judgekit.randomness import pick, shuffled
from judgekit.rows import Instruction

SOURCE = "constraints"


@dataclass(frozen=True, slots=True)
class Kind:
    """One format.

    :param name: short description, as a judge would say it
    :param asks: ways to ask for it
    :param write: items -> a response of this kind
    :param pattern: matches any response of this kind, whatever its items
    """

    name: str
    asks: tuple[str, ...]
    write: Callable[[Sequence[str]], str]
    pattern: str

    def check(self, response: str, items: Sequence[str] | None = None) -> bool:
        """Whether the response has this format, and just these items where some are given."""
        lines = "\n".join(line.strip() for line in response.strip().splitlines())
        if items is not None:
            return lines == self.write(items)
        return re.fullmatch(self.pattern, lines) is not None


def _lines(prefix: str) -> Callable[[Sequence[str]], str]:
    """Writer of one item a line behind a prefix; ``{n}`` counts from 1."""
    return lambda items: "\n".join(prefix.format(n=n) + item for n, item in enumerate(items, start=1))


def _line(separator: str = ", ", before: str = "", after: str = "") -> Callable[[Sequence[str]], str]:
    """Writer of one line of items with text around it."""
    return lambda items: before + separator.join(items) + after


_ITEM = r"[^\W\d_][\w' -]*"
_LIST = rf"{_ITEM}(, {_ITEM})+"

KINDS: tuple[Kind, ...] = (
    Kind(
        "numbered list",
        ("Use a numbered list.", "Number the lines 1., 2., 3."),
        _lines("{n}. "),
        rf"1\. {_ITEM}(\n\d+\. {_ITEM})+",
    ),
    Kind(
        "bullet list",
        ("Use a bullet list with dashes.", "Put a dash before each one, one a line."),
        _lines("- "),
        rf"- {_ITEM}(\n- {_ITEM})+",
    ),
    Kind(
        "plain lines",
        ("Write one per line, nothing else.", "Put each on its own line, without marks."),
        _lines(""),
        rf"{_ITEM}(\n{_ITEM})+",
    ),
    Kind("comma list", ("Separate them with commas.", "Write one line with commas between them."), _line(), _LIST),
    Kind(
        "semicolon list",
        ("Separate them with semicolons.", "Put semicolons between them."),
        _line("; "),
        rf"{_ITEM}(; {_ITEM})+",
    ),
    Kind(
        "slash list",
        ("Separate them with slashes.", "Put a slash between them."),
        _line(" / "),
        rf"{_ITEM}( ?/ ?{_ITEM})+",
    ),
    Kind(
        "arrow list",
        ("Separate them with arrows.", "Put an arrow (->) between them."),
        _line(" -> "),
        rf"{_ITEM}( ?-> ?{_ITEM})+",
    ),
    Kind(
        "JSON array",
        ("Answer with a JSON array.", "Give a JSON list of strings."),
        lambda items: json.dumps(list(items), ensure_ascii=False),
        r'\["[^"\n]+"(, ?"[^"\n]+")+\]',
    ),
    Kind(
        "upper case",
        ("Write everything in capital letters.", "Use upper case only."),
        lambda items: ", ".join(items).upper(),
        r"(?=.*[A-Z])[^a-z]+",
    ),
    Kind(
        "parentheses",
        ("Put the answer in parentheses.", "Use round brackets around it."),
        _line(before="(", after=")"),
        rf"\({_LIST}\)",
    ),
    Kind(
        "quotation marks",
        ("Put the answer in quotation marks.", "Quote the answer."),
        _line(before='"', after='"'),
        rf'"{_LIST}"',
    ),
    Kind(
        "answer label",
        ("Begin with the word Answer:", "Start with Answer:"),
        _line(before="Answer: "),
        r"Answer: \S[\s\S]*",
    ),
)

BY_NAME = {kind.name: kind for kind in KINDS}

TOPICS: dict[str, tuple[str, ...]] = {
    "fruits": ("apple", "pear", "mango", "plum", "fig"),
    "vegetables": ("carrot", "onion", "leek", "spinach", "beet"),
    "colours": ("red", "blue", "green", "violet", "amber"),
    "planets": ("Mars", "Venus", "Saturn", "Neptune", "Mercury"),
    "rivers": ("Nile", "Danube", "Amazon", "Volga", "Rhine"),
    "metals": ("iron", "copper", "zinc", "silver", "tin"),
    "tools": ("hammer", "saw", "drill", "wrench", "chisel"),
    "birds": ("robin", "eagle", "heron", "owl", "swift"),
    "fish": ("trout", "salmon", "carp", "tuna", "perch"),
    "trees": ("oak", "pine", "birch", "maple", "elm"),
    "flowers": ("rose", "tulip", "lily", "daisy", "iris"),
    "insects": ("ant", "bee", "moth", "beetle", "wasp"),
    "capital cities": ("Paris", "Oslo", "Lima", "Cairo", "Tokyo"),
    "countries": ("Chile", "Kenya", "Japan", "Norway", "Spain"),
    "languages": ("Hindi", "French", "Swahili", "Polish", "Greek"),
    "sports": ("tennis", "rugby", "judo", "rowing", "golf"),
    "instruments": ("violin", "flute", "drum", "harp", "cello"),
    "drinks": ("tea", "coffee", "milk", "juice", "cocoa"),
    "desserts": ("cake", "pudding", "sorbet", "tart", "fudge"),
    "spices": ("pepper", "cumin", "saffron", "ginger", "clove"),
    "items of clothing": ("shirt", "scarf", "coat", "skirt", "sock"),
    "fabrics": ("wool", "silk", "cotton", "linen", "denim"),
    "pieces of furniture": ("chair", "table", "shelf", "bed", "desk"),
    "rooms": ("kitchen", "attic", "cellar", "hall", "study"),
    "vehicles": ("bus", "train", "bicycle", "truck", "ferry"),
    "jobs": ("nurse", "baker", "pilot", "plumber", "judge"),
    "shapes": ("circle", "square", "cone", "cube", "oval"),
    "months": ("March", "June", "August", "October", "January"),
    "weekdays": ("Monday", "Friday", "Sunday", "Tuesday", "Thursday"),
    "seas": ("Baltic", "Red Sea", "Aegean", "Caspian", "Coral Sea"),
    "mountains": ("Everest", "Etna", "Denali", "Elbrus", "Fuji"),
    "gems": ("ruby", "opal", "jade", "topaz", "garnet"),
    "grains": ("rice", "wheat", "barley", "oats", "rye"),
    "nuts": ("almond", "walnut", "cashew", "pecan", "hazelnut"),
    "cheeses": ("brie", "feta", "cheddar", "gouda", "ricotta"),
    "dances": ("tango", "waltz", "salsa", "polka", "samba"),
    "games": ("chess", "poker", "dominoes", "darts", "bingo"),
    "pets": ("cat", "dog", "hamster", "parrot", "rabbit"),
    "farm animals": ("cow", "goat", "sheep", "pig", "hen"),
    "sciences": ("physics", "botany", "geology", "optics", "ecology"),
}

_REQUESTS = ("Name {count} {topic}.", "List {count} {topic}.", "Give me {count} {topic}.", "Tell me {count} {topic}.")
_COUNTS = {3: "three", 4: "four"}


def constraint_instructions(count: int, seed: int) -> list[Instruction]:
    """Distinct instructions, each asking for one kind of format; kinds and topics are spread evenly.

    :raises ValueError: when more are asked for than there are combinations
    """
    combinations = list(itertools.product(TOPICS, range(len(KINDS)), range(2)))
    if count > len(combinations):
        raise ValueError(f"data.constraints has {len(combinations)} distinct instructions, {count} were asked for")
    # Taking kinds in turn over shuffled topics keeps every kind equally frequent in any prefix.
    by_kind = [
        shuffled([c for c in combinations if c[1] == kind], seed, "constraints", kind) for kind in range(len(KINDS))
    ]
    order = [queue[index] for index in range(len(by_kind[0])) for queue in by_kind]
    return [_instruction(topic, KINDS[kind], phrase, seed) for topic, kind, phrase in order[:count]]


def _instruction(topic: str, kind: Kind, phrase: int, seed: int) -> Instruction:
    name = f"constraints-{topic.replace(' ', '_')}-{kind.name.replace(' ', '_')}-{phrase}"
    number = pick(list(_COUNTS), seed, name, "count")
    request = pick(_REQUESTS, seed, name, "request").format(count=_COUNTS[number], topic=topic)
    items = shuffled(TOPICS[topic], seed, name, "items")[:number]
    return Instruction(
        id=name,
        text=f"{request} {kind.asks[phrase]}",
        source=SOURCE,
        category=kind.name,
        answer=json.dumps(items, ensure_ascii=False),
        checker=kind.name,
    )


def items_of(instruction: Instruction) -> list[str]:
    """The content both responses carry."""
    items: list[str] = json.loads(instruction.answer or "[]")
    return items


def satisfies(instruction: Instruction, response: str) -> bool:
    """Whether a response that a model wrote has the format the instruction asks for, whatever its items."""
    return BY_NAME[str(instruction.checker)].check(response)


def written_responses(instruction: Instruction, seed: int) -> tuple[str, str]:
    """A response in the format asked for, and one with the same content in another format."""
    items = items_of(instruction)
    right = BY_NAME[str(instruction.checker)]
    others = [kind for kind in KINDS if not right.check(kind.write(items))]
    return right.write(items), pick(others, seed, instruction.id, "wrong kind").write(items)


def kind_of(response: str, items: Sequence[str]) -> Kind | None:
    """The kind a response is written in, None when it is none of them."""
    return next((kind for kind in KINDS if kind.check(response, items)), None)
