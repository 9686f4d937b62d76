"""Papers that recipes and benchmarks come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper on arXiv.

    :param name: what its method or benchmark is called
    :param arxiv: its number there, which begins with the year and month of the first version
    :param title: whole title; ``authors`` as in BibTeX, ``LAST, FIRST and others``
    """

    name: str
    arxiv: str
    title: str = ""
    authors: str = ""

    @property
    def link(self) -> str:
        """Its name as a link in markdown."""
        return f"[{self.name}](https://arxiv.org/abs/{self.arxiv})"

    @property
    def bibtex(self) -> str:
        """Its BibTeX entry."""
        fields = {
            "title": self.title, "author": self.authors, "year": f"20{self.arxiv[:2]}", "eprint": self.arxiv,
            "archivePrefix": "arXiv",
        }  # fmt: skip
        inner = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
        return f"@misc{{arxiv{self.arxiv.replace('.', '_')},\n{inner}}}"
