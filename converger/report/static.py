"""The static second opinion of `check --static`, as text and as JSON. It always says that it is a guess."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from converger.report.look import Look, Style
from converger.report.text import counted
from converger.report.visible import one_line

if TYPE_CHECKING:
    from converger.guess.model import Guess, Guesses

LABEL = "guess, not a verdict"
_ID = 40
_SHOWN = 30
_COMPUTED = 12


def static_text(guesses: Guesses | None, look: Look) -> list[str]:
    """What was guessed from the source; None: there were no branches that could be held against each other."""
    title = look.paint("bold", f"Static second opinion ({LABEL}: nothing was run)")
    if guesses is None:
        return [title, "  no guess: the branches to compare are not known"]
    if not guesses.revisions:
        return [title, "  nothing to compare: no line of history has several heads"]
    out = [title]
    for guess in guesses.guesses[:_SHOWN]:
        out += _guess(guess, look)
    if len(guesses.guesses) > _SHOWN:
        more = len(guesses.guesses) - _SHOWN
        out.append(f"  {look.glyphs.ellipsis} and {more} more (--format json has all)")
    if not guesses.guesses:
        count = counted(len(guesses.revisions), "revision")
        out.append(f"  no clash to be seen in the source of {count}; only a proof tells whether they fit")
    if guesses.computed:
        names = [one_line(id, _ID) for id in guesses.computed[:_COMPUTED]]
        if len(guesses.computed) > _COMPUTED:
            names.append(f"and {len(guesses.computed) - _COMPUTED} more")
        out.append(
            look.paint("warn", f"  not understood in full, what they do is not known: {', '.join(names)}")
        )
    return out


def _guess(guess: Guess, look: Look) -> list[str]:
    style: Style = "bad" if guess.confidence == "likely" else "warn"
    glyph = look.glyphs.bad if guess.confidence == "likely" else "?"
    title = look.paint(style, f"{glyph} {guess.confidence}: {one_line(guess.kind, 60)}")
    out = [f"  {title}: {one_line(guess.object, 120)}", f"      {one_line(guess.message, 300)}"]
    return out + [f"      {one_line(place.path)}:{place.line}" for place in guess.places]


def static_json(guesses: Guesses | None) -> dict[str, Any] | None:
    """The object behind the key `static`; null where the branches to compare are not known."""
    if guesses is None:
        return None
    return {
        "label": LABEL,
        "guesses": [
            {
                "kind": guess.kind,
                "confidence": guess.confidence,
                "object": guess.object,
                "message": guess.message,
                "revisions": [place.revision for place in guess.places],
                "locations": [{"path": place.path, "line": place.line} for place in guess.places],
            }
            for guess in guesses.guesses
        ],
        "revisions": list(guesses.revisions),
        "computed": list(guesses.computed),
    }
