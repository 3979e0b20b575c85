"""What a label means: melanoma, another diagnosis, or nothing that may be guessed.

A wrong guess causes no error; it only moves images to the other side of every measure. So a label
counts as melanoma only if it is a word or code that means nothing else, and as another diagnosis
only if it is a known word or code for one. `--map-label` and `--positive` override both. Every
other label is refused.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from batch.core.errors import UsageError
from batch.evaluation.diagnosis_codes import MELANOMA, CodeMeaning, code_meaning
from batch.evaluation.diagnosis_words import (
    BENIGN_WORDS,
    COARSE,
    CODES,
    DIAGNOSES,
    MALIGNANT,
    MELANOMA_WORDS,
    NOT_MELANOMA,
    fold,
)

_NO_LABEL = {"nan", "na", "n/a", "#n/a", "<na>", "nat", "null"}
_NEGATED = re.compile(r"\b(not|no|non|without|kein|keine|nicht|ohne)\b|^non")
_MELANOMA = re.compile(r"melanom|lentigo maligna|^(mel|mm|mis|lm|lmm|ssm|nm|alm)\b|^(c ?43|d ?03)")
_YES_OR_NO = re.compile(
    r"true|false|yes|no|y|n|t|f|ja|nein|oui|non|si|positive|negative|pos|neg|[+-]?\d+([.,]\d+)?"
)
_YES = frozenset(("true", "yes", "y", "t", "1", "ja", "j", "wahr", "positive", "positiv", "pos"))
_NO = frozenset(("false", "no", "n", "f", "0", "nein", "falsch", "negative", "negativ", "neg"))
_WHOLE = re.compile(r"([01])[.,]0+")
IS_MELANOMA = "melanoma="
"""What stands before a value of a column that asks whether it is melanoma, such as `melanoma=1`."""

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
        cls,
        class_names: Sequence[str],
        melanoma_class: str,
        mappings: Iterable[str] = (),
        positive: Iterable[str] = (),
    ) -> Vocabulary:
        """Make a vocabulary.

        Args:
            class_names, melanoma_class: of the model.
            mappings: `LABEL=CLASS` of `--map-label`.
            positive: labels that mean melanoma, of `--positive`. Where one of them says yes (1,
                true, ja), the words for no (0, false, nein) exclude melanoma; nothing else does.

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
        for label in positive:
            if not fold(label):
                raise UsageError("--positive: found ''; allowed: a label that means melanoma.")
            if stated.setdefault(fold(label), melanoma_class) != melanoma_class:
                raise UsageError(
                    f"--positive: {label.strip()!r} is given to --map-label as "
                    f"{stated[fold(label)]!r}; allowed: one meaning for a label. Leave one out."
                )
            if yes_or_no(label):
                for word in (*_NO, "0.0"):
                    stated.setdefault(word, NOT_MELANOMA)
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
        if folded.startswith(IS_MELANOMA):
            return self._answer(text[len(IS_MELANOMA) :])
        if text not in self.class_names:
            if (coded := code_meaning(folded)) is not None:
                return self._coded(coded)
            if folded in MELANOMA_WORDS and self._is_for_melanoma():
                return self.melanoma_class, ""
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

    def _answer(self, value: str) -> tuple[str | None, str]:
        """The meaning of a value in a column that asks whether it is melanoma."""
        answer = yes_or_no(value)
        if answer is None:
            return self.meaning(value)
        if self._any_malignancy():
            return None, "the model's class is wider than melanoma"
        return (self.melanoma_class if answer else self._coarse_class() or NOT_MELANOMA), ""

    def _coded(self, coded: CodeMeaning) -> tuple[str | None, str]:
        """The meaning of a code of ICD-10 or ICD-O."""
        if coded.code is None:
            return None, coded.why
        if coded.code == MELANOMA:
            is_clear = self._is_for_melanoma()
            return (self.melanoma_class, "") if is_clear else (None, _A_WORD_FOR_MELANOMA)
        if self._any_malignancy() and coded.is_malignant:
            return None, "malignant, but not melanoma"
        if coded.code in DIAGNOSES:
            return self._other("", DIAGNOSES[coded.code][0]), ""
        coarse = self._coarse_class()
        if coarse and fold(coarse) in BENIGN_WORDS and coded.is_malignant:
            coarse = None
        return coarse or NOT_MELANOMA, ""

    def _is_for_melanoma(self) -> bool:
        """Whether the model's melanoma class means melanoma, whole and alone."""
        others = (name for name in self.class_names if name != self.melanoma_class)
        return fold(self.melanoma_class) in MELANOMA_WORDS and not any(
            _MELANOMA.search(fold(name)) and not _NEGATED.search(fold(name)) for name in others
        )

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
        if self._any_malignancy() and (
            code in MALIGNANT or (not code and folded not in BENIGN_WORDS)
        ):
            return None
        if code is None:
            return self._coarse_class() or NOT_MELANOMA
        coarse = self._coarse_class()
        if coarse and fold(coarse) in BENIGN_WORDS and code in MALIGNANT:
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


def yes_or_no(value: str) -> bool | None:
    """Whether a text says yes or no, in English or German; None if it says neither."""
    word = _WHOLE.sub(r"\1", fold(value))
    return True if word in _YES else False if word in _NO else None


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
        f"plainly whether they are melanoma: {', '.join(shown)}{more}; allowed: {melanoma!r}, "
        f"{_quoted(others)} and other diagnoses by their usual names and codes (NV, BCC, C43.5, "
        f"D22.5, 8720/3, ...), and 'not melanoma', 'other' or 'benign'. Say what each of them means: "
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
