"""Random regular expressions, and texts that they may match."""

from __future__ import annotations

import random
from typing import Final

ALPHABET: Final = [
    "a",
    "b",
    "A",
    "B",
    "1",
    "_",
    " ",
    "-",
    "\n",
    "\r",
    "é",
    "É",
    "k",
    "\u212a",
    "s",
    "\u017f",
    ".",
    "\t",
]
ATOMS: Final = [
    *(
        "a",
        "b",
        "A",
        "1",
        "_",
        " ",
        "-",
        "é",
        "k",
        "s",
        ".",
        ".",
        r"\.",
        r"\-",
        r"\n",
        r"\x61",
        r"\x{e9}",
        r"\t",
    ),
    *(
        r"\w",
        r"\W",
        r"\d",
        r"\D",
        r"\s",
        r"\S",
        "[ab]",
        "[^ab]",
        "[a-b1]",
        "[^\\n]",
        r"[\w-]",
        r"[\d\s]",
        "[]a]",
    ),
    *(
        "[^]a]",
        "[a-]",
        "[-a]",
        "[[:alpha:]]",
        "[[:^space:]_]",
        "[[:upper:]]",
        "[[:lower:]1]",
        r"[^\W_]",
        r"[\n]",
    ),
    *("[é-ý]", "[a-é]", "[^k]", "[k]", "[.]", "[$^]", "[a|b]", r"[\]]", "]", "}", r"\{", "#", "\n", "é"),
]
PLACES: Final = ["^", "$", "^", "$", r"\A", r"\z", r"\Z", r"\b", r"\B"]
ODD: Final = [
    *(
        "(",
        ")",
        "*",
        "{",
        "{1",
        "a{,2}",
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        r"\1",
        r"\C",
        r"\K",
        r"\p{L}",
        "(?>a)",
        "a++",
    ),
    *(
        "(?#c)",
        "(?<n>a)",
        "(?i)",
        "(?",
        "[",
        "[z-a]",
        "[[:foo:]]",
        "[[.a.]]",
        "[a-c-e]",
        r"[\d-z]",
        "(*F)",
        r"\Q",
        "a**",
    ),
    *(
        r"\x{110000}",
        r"\x{d800}",
        r"\8",
        "^*",
        "(a)*",
        "(?:a|b)+",
        "a{2}{3}",
        r"\cA",
        "(?^a)",
        "(?|a)",
        "(?-i-s:a)",
        "(?)",
    ),
    *(
        "(?-)",
        "[:a:]",
        r"\e",
        r"\a",
        r"[\b]",
        r"\h",
        r"\R",
        "\\",
        "a{1001}",
        "a{3,2}",
        "a{0}",
        "(?:)",
        "()",
        "a{2,}",
        "x{",
    ),
    *(
        r"[a-\d]",
        "[",
        "[]",
        "[^]",
        "a?+",
        "a{2}+",
        "(?i:",
        "|",
        "||",
        "(|a)",
        "(a|)",
        "(?s-m:.)",
        "(?x: a )",
        "(?R)",
    ),
]


class PatternMaker:
    """Makes what ``rng`` says."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def text(self) -> str:
        """A text of a few characters."""
        end = self.rng.choice(["", "", "", "\n", "\n\n"])
        return "".join(self.rng.choice(ALPHABET) for _ in range(self.rng.randrange(7))) + end

    def pattern(self, depth: int = 2) -> str:
        """An expression."""
        branches = [self.branch(depth) for _ in range(self.rng.choice([1, 1, 1, 2, 3]))]
        return "|".join(branches)

    def branch(self, depth: int) -> str:
        """One alternative."""
        return "".join(self.item(depth) for _ in range(self.rng.choice([0, 1, 1, 2, 2, 3, 4])))

    def item(self, depth: int) -> str:
        """A character, class, group or place, most of them not repeated."""
        which = self.rng.randrange(100)
        if which < 3:
            return self.rng.choice(ODD)
        if which < 20:
            return self.rng.choice(PLACES)
        if depth > 0 and which < 35:
            opening = self.rng.choice(["(", "(?:", "(?:", "(?i:", "(?-i:", "(?s:", "(?x:", "(?m:", "(?i-m:"])
            quantifier = self.rng.choice(["", "", "?", "{2}", "{0,2}", "{1,3}?", "*"])
            return f"{opening}{self.pattern(depth - 1)}){quantifier}"
        quantifier = self.rng.choice([""] * 8 + ["*", "+", "?", "*?", "{2}", "{0,2}", "{1,}", "{1,2}?", " ?"])
        return self.rng.choice(ATOMS) + quantifier

    def options(self) -> str:
        """Letters of options."""
        return "".join(letter for letter in "imsx" if self.rng.randrange(4) == 0)

    def whole(self) -> tuple[str, str]:
        """An expression, maybe with options in front, and its options."""
        front = self.rng.choice(["", "", "", "", "", "(?i)", "(?m)", "(?sx)", "(?-i)"])
        return front + self.pattern(), self.options()
