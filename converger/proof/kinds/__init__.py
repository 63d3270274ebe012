"""The documented kinds of conflict, and which of them two revisions are an example of. Pure.

`classify` gives `unclassified` rather than a wrong name.
"""

from __future__ import annotations

import re
from pkgutil import get_data

from converger.proof.kinds.catalogue import KINDS, Kind
from converger.proof.kinds.encounter import Encounter, Recognised

__all__ = [
    "KINDS",
    "Encounter",
    "Kind",
    "advice",
    "classify",
    "explain_kind",
    "known_kinds",
    "near_kinds",
    "objects",
]

PAGE = "kinds.md"
_MOST_NAMED = 5


def known_kinds() -> tuple[str, ...]:
    """The names of all kinds, in the order of the documentation."""
    return tuple(kind.name for kind in KINDS)


def explain_kind(name: str) -> str:
    """The section of the documentation about a kind, as Markdown. Raises LookupError with what there is."""
    if name not in known_kinds():
        raise LookupError(
            f"there is no kind of conflict called {name!r}; there are: {', '.join(known_kinds())}"
        )
    section = re.search(rf"^## {re.escape(name)}\n.*?(?=^## |\Z)", page(), re.M | re.S)
    assert section is not None, f"{PAGE} has no section {name}"
    return section.group().strip() + "\n"


def near_kinds(name: str) -> tuple[str, ...]:
    """Up to three names of kinds that somebody may have meant, best first."""
    from difflib import get_close_matches

    name = name.strip().lower().replace("_", "-").replace(" ", "-")
    inside = [kind for kind in known_kinds() if name in kind] if name else []
    return tuple(dict.fromkeys((*inside, *get_close_matches(name, known_kinds(), 3))))[:3]


def page() -> str:
    """The whole page about the kinds; docs/conflicts.md is a copy of it."""
    found = get_data(__name__, PAGE)
    assert found is not None
    return found.decode("utf-8")


def classify(encounter: Encounter) -> Kind:
    """The kind of conflict that two revisions are in."""
    return _BY_NAME[_recognise(encounter).kind]


def objects(encounter: Encounter) -> tuple[str, ...]:
    """What the conflict is about, by qualified name, sorted; all that differs where the kind is not known."""
    found = _recognise(encounter)
    return found.objects or tuple(sorted({one.object for one in encounter.differences}))


def advice(encounter: Encounter, kind: Kind) -> str:
    """What to do about it, with the names of the revisions and objects."""
    first, second = encounter.revisions
    named = objects(encounter)
    text = ", ".join(named[:_MOST_NAMED]) + (
        f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    )
    if not named:
        return _without_objects(kind.advice).format(first=first, second=second)
    return kind.advice.format(first=first, second=second, objects=text)


def _without_objects(template: str) -> str:
    """A template for where nothing is known of the objects: only `unclassified` is."""
    return template.replace(" ({objects})", "").replace("{objects}", "it")


def _recognise(encounter: Encounter) -> Recognised:
    if encounter.error is not None:
        from converger.proof.kinds.failing import recognise_failure

        return recognise_failure(encounter)
    from converger.proof.kinds.differing import recognise_difference

    return recognise_difference(encounter)


_BY_NAME = {kind.name: kind for kind in KINDS}
