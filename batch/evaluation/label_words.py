"""What a label means: melanoma, another diagnosis, or nothing that may be guessed.

A wrong guess causes no error; it only moves images to the other side of every measure. So a label
counts as melanoma only if it is the model's own word for it, and as another diagnosis only if it is
a known word for one. `--map-label` overrides both. Every other label is refused.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from batch.core.errors import UsageError
from batch.evaluation.diagnosis_words import (
    BENIGN,
    COARSE,
    CODES,
    DIAGNOSES,
    MALIGNANT,
    NOT_MELANOMA,
    fold,
)

_NO_LABEL = {"nan", "na", "n/a", "#n/a", "<na>", "nat", "null"}
_NEGATED = re.compile(r"\b(not|no|non|without)\b|^non")
_MELANOMA = re.compile(r"melanom|lentigo maligna|^(mel|mm|mis|lm|lmm|ssm|nm|alm)\b|^(c ?43|d ?03)")
_YES_OR_NO = re.compile(
    r"true|false|yes|no|y|n|t|f|ja|nein|oui|non|si|positive|negative|pos|neg|[+-]?\d+([.,]\d+)?"
)
_A_WORD_FOR_MELANOMA = "a word for melanoma, but not the model's"
_MOST_SHOWN = 12


@dataclass(frozen=True)
class Vocabulary:
    """The words of a model.

    class_names: of its output.
    melanoma_class: one of them.
    stated: folded label to the meaning given by `--map-label`.
    """

    class_names: tuple[str, ...]
    melanoma_class: str
    stated: dict[str, str]

    @classmethod
    def of(
        cls, class_names: Sequence[str], melanoma_class: str, mappings: Iterable[str] = ()
    ) -> Vocabulary:
        """Make a vocabulary. mappings: `LABEL=CLASS` of `--map-label`.

        Raises:
            UsageError: a mapping has no label or no known class, or contradicts another.
        """
        plain = cls(tuple(class_names), melanoma_class, {})
        stated: dict[str, str] = {}
        for mapping in mappings:
            label, sign, name = mapping.rpartition("=")
            if not sign or not fold(label):
                raise UsageError(
                    f"--map-label: found {mapping!r}; allowed: LABEL=CLASS, e.g. "
                    f"{_option('MM', melanoma_class)}, or LABEL= to leave such rows out."
                )
            meaning = plain._target(name)
            if stated.setdefault(fold(label), meaning) != meaning:
                raise UsageError(
                    f"--map-label: {label.strip()!r} is given as {stated[fold(label)]!r} and as "
                    f"{meaning!r}; allowed: one meaning for a label, in any case of letters."
                )
        return cls(plain.class_names, melanoma_class, stated)

    def meaning(self, word: str) -> tuple[str | None, str]:
        """The meaning of a label, and why it has none.

        Returns:
            a class of the model, the name of another diagnosis, NOT_MELANOMA, or "" for no label;
            or None, with a reason (which may be ""), if the label is not clear.
        """
        text, folded = word.strip(), fold(word)
        if folded in self.stated:
            return self.stated[folded], ""
        if text == self.melanoma_class or not folded:
            return text if folded else "", ""
        negated = _NEGATED.search(folded) is not None
        meant = not negated and _MELANOMA.search(folded) is not None
        # a second melanoma class of a melanoma model is not another diagnosis
        is_other = text in self.class_names and not self._raises_for_melanoma()
        if folded == fold(self.melanoma_class) or (meant and not is_other):
            return None, _A_WORD_FOR_MELANOMA
        if (known := self._other(text, folded)) is not None:
            return known, ""
        if _YES_OR_NO.fullmatch(folded):
            return None, "a number or yes and no do not say of what"
        return None, "may be melanoma or a carcinoma" if folded.startswith("malign") else ""

    def _other(self, text: str, folded: str) -> str | None:
        """A class or diagnosis other than melanoma, "" for no label, None for an unknown word."""
        if text in self.class_names:
            return text
        alike = [name for name in self.class_names if fold(name) == folded]
        if len(alike) == 1:
            return alike[0]
        if folded in _NO_LABEL:
            return ""
        code = CODES.get(folded)
        if code is None and folded not in COARSE:
            return None
        if self._any_malignancy() and (code in MALIGNANT or (not code and folded != BENIGN)):
            return None
        if code is None:
            return self._coarse_class() or NOT_MELANOMA
        coarse = self._coarse_class()
        if coarse and fold(coarse) == BENIGN and code in MALIGNANT:
            coarse = None
        return self._class_of(code) or coarse or DIAGNOSES[code][0]

    def _raises_for_melanoma(self) -> bool:
        return bool(_MELANOMA.search(fold(self.melanoma_class))) or self._any_malignancy()

    def _any_malignancy(self) -> bool:
        """Whether the melanoma class of this model may include other malignant diagnoses."""
        name = fold(self.melanoma_class)
        return name.startswith("malign") and "melanom" not in name

    def _class_of(self, code: str) -> str | None:
        """The class of this diagnosis, else of the wider diagnosis; None if there is not one."""
        for wider_or_same in (code, DIAGNOSES[code][1]):
            names = [name for name in self.class_names if CODES.get(fold(name)) == wider_or_same]
            if wider_or_same and len(names) == 1:
                return names[0]
        return None

    def _coarse_class(self) -> str | None:
        """The other class of a model with two classes, melanoma and everything else; else None."""
        others = [name for name in self.class_names if name != self.melanoma_class]
        return others[0] if len(others) == 1 and fold(others[0]) in COARSE else None

    def _target(self, name: str) -> str:
        """The meaning given by a mapping: a class in any spelling, another diagnosis, or ""."""
        alike = [class_name for class_name in self.class_names if fold(class_name) == fold(name)]
        if name.strip() in self.class_names or not name.strip():
            return name.strip()
        if len(alike) == 1:
            return alike[0]
        meaning, _ = self.meaning(name)
        if not meaning:
            raise UsageError(
                f"--map-label: found {name.strip()!r} after '='; allowed: the model's classes, "
                f"{_quoted(self.class_names)}, 'not melanoma', or nothing to leave such rows out."
            )
        return meaning


def read_labels_as(words: Iterable[str], vocabulary: Vocabulary) -> dict[str, str]:
    """The meaning of each different label.

    Raises:
        UsageError: some labels are not clear; the message says which, how often, and what to do.
    """
    counts = Counter(words)
    meanings = {word: vocabulary.meaning(word) for word in counts}
    refused = {word: why for word, (known, why) in meanings.items() if known is None}
    if refused:
        raise UsageError(_refusal(counts, refused, vocabulary))
    return {word: known for word, (known, _) in meanings.items() if known is not None}


def _refusal(counts: Counter[str], refused: dict[str, str], vocabulary: Vocabulary) -> str:
    often = sorted(refused, key=lambda word: (-counts[word], word))
    shown = [
        f"{_short(word)} {counts[word]}" + (f" ({refused[word]})" if refused[word] else "")
        for word in often[:_MOST_SHOWN]
    ]
    more = f" and {len(often) - _MOST_SHOWN} more" if len(often) > _MOST_SHOWN else ""
    melanoma = vocabulary.melanoma_class
    others = [name for name in vocabulary.class_names if name != melanoma]
    examples = [_option(word.strip(), _example(refused[word], melanoma)) for word in often[:2]]
    return (
        f"--labels: {sum(counts[word] for word in often)} of {counts.total()} rows do not say "
        f"plainly whether they are melanoma: {', '.join(shown)}{more}; allowed: {melanoma!r} as "
        f"the model says it, {_quoted(others)} and other diagnoses by their usual names and codes "
        f"(NV, BCC, ...), and 'not melanoma', 'other' or 'benign'. Say what each of them means: "
        f"{' '.join(examples)}; without a class, as in {_option(often[0].strip(), '')}, such "
        "rows are left out."
    )


def _example(why: str, melanoma_class: str) -> str:
    return melanoma_class if why == _A_WORD_FOR_MELANOMA else "CLASS"


def _option(label: str, name: str) -> str:
    return f"--map-label {shlex.quote(f'{label}={name}')}"


def _short(word: str) -> str:
    return repr(word if len(word) <= 40 else f"{word[:37]}...")


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
