"""What one upgrade does in the end: what it makes and takes away again is left out, replacing is one action.

A table that is dropped and made anew under its name is *rebuilt*; so is one whose copy takes its name. Other
things that are dropped and made anew are *altered*.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from converger.guess.model import Action, Name, named

Key = tuple[Hashable, ...]

_LIVING = frozenset(
    "table view sequence type function schema extension column index constraint trigger policy".split()
)
_OWNERS = frozenset({"table", "view", "type"})


def key_of(action: Action) -> Key:
    """What an action is about. Tables and views share their names, indexes have theirs in the schema."""
    return _key(action, action.owner, action.part)


def new_key(action: Action) -> Key:
    """The same behind a rename."""
    if action.part:
        return _key(action, action.owner, action.new)
    return _key(action, renamed(action), "")


def renamed(action: Action) -> Name:
    """The name of a table or type behind its rename."""
    return named(action.new, None if "." in action.new else action.owner.schema)


def owner_key(action: Action) -> Key:
    """The table (or type) that something belongs to."""
    kind = "type" if action.kind in ("type", "label") else action.kind
    return (kind if kind in ("type", "function", "schema", "extension") else "relation", action.owner)


def _key(action: Action, owner: Name, part: str) -> Key:
    if action.kind in ("table", "view", "rows"):
        return ("relation", owner)
    if action.kind == "index":
        return ("index", owner.schema, part)
    if action.kind == "type":
        return ("type", owner)
    return (action.kind, owner, part)


def net(actions: Sequence[Action]) -> tuple[Action, ...]:
    """The actions of one upgrade, reduced. Names are those from before the upgrade."""
    owners = _Lives()
    inside: list[Action] = []
    for action in actions:
        if action.kind in _OWNERS and not action.part and action.verb in ("create", "drop", "rename"):
            owners.take(action)
        else:
            inside.append(_moved(action, owners))
    ends = owners.ends()
    # Parts of a table that is new concern nobody else. An index may still have the name of another.
    fresh = {key_of(a) for a in ends if a.verb in ("create", "rebuild")} | owners.passing
    inside = [a for a in inside if a.kind == "index" or owner_key(a) not in fresh]

    parts = _Lives()
    rest: list[Action] = []
    for action in inside:
        living = action.kind in _LIVING and (
            action.part or action.kind in ("sequence", "schema", "extension")
        )
        if living and action.verb in ("create", "drop", "rename"):
            parts.take(action)
        elif living and action.part and parts.is_new(key_of(action)):
            if action.verb == "alter" and action.aspect == "nullable" and action.detail == "False":
                parts.require(key_of(action))
        else:
            rest.append(_renamed_part(action, parts))
    return (*ends, *parts.ends(), *rest)


def _moved(action: Action, owners: _Lives) -> Action:
    """With the name that the table had before."""
    origin = owners.origin(owner_key(action))
    if origin is not None and isinstance(origin[1], Name) and origin[1] != action.owner:
        return replace(action, owner=origin[1])
    return action


def _renamed_part(action: Action, parts: _Lives) -> Action:
    if action.kind != "column":
        return action
    origin = parts.origin(key_of(action))
    return replace(action, part=str(origin[2])) if origin is not None and len(origin) == 3 else action


@dataclass
class _Life:
    """Something that has a name now: made here, or there before under `old`."""

    old: Key | None
    made: Action | None = None


class _Lives:
    """Follows things through creating, renaming and dropping."""

    def __init__(self) -> None:
        self._now: dict[Key, _Life | None] = {}
        self._dropped: dict[Key, Action] = {}
        self._renamed: dict[Key, Action] = {}
        self._nameless: list[Action] = []
        self.passing: set[Key] = set()
        """Names of what was made and taken away again."""

    def take(self, action: Action) -> None:
        key = key_of(action)
        if action.verb == "create":
            if not action.part and action.kind in ("index", "constraint"):
                self._nameless.append(action)
            elif self._now.get(key) is None:
                self._now[key] = _Life(None, action)
            return
        life = self._now.get(key, _Life(key)) or _Life(None)
        self._now[key] = None
        if action.verb == "drop":
            if life.old is not None:
                self._dropped[life.old] = action
            else:
                self.passing.add(key)
            return
        self._now[new_key(action)] = life
        if life.old is not None:
            self._renamed[life.old] = action

    def origin(self, key: Key) -> Key | None:
        life = self._now.get(key)
        return life.old if life is not None else None

    def is_new(self, key: Key) -> bool:
        life = self._now.get(key)
        return life is not None and life.old is None

    def require(self, key: Key) -> None:
        """A new column gets NOT NULL later on."""
        life = self._now.get(key)
        if life is not None and life.made is not None and life.made.kind == "column" and not life.made.aspect:
            life.made = replace(life.made, aspect="required later")

    def ends(self) -> list[Action]:
        """What is left of it all, in the order of its first mention."""
        found: list[Action] = []
        replaced = set()
        for key, life in self._now.items():
            if life is None or life.old == key:
                continue
            if life.old is not None:
                found.append(self._renaming(life.old, key))
            elif life.made is not None and key in self._dropped:
                replaced.add(key)
                found.append(self._replacing(key, life.made))
            elif life.made is not None:
                found.append(_under(life.made, key))
        found += [action for key, action in self._dropped.items() if key not in replaced]
        return found + self._nameless

    def _renaming(self, old: Key, new: Key) -> Action:
        """One rename for several of the same thing."""
        action = self._renamed[old]
        if len(old) == 2 and isinstance(old[1], Name):
            return replace(action, owner=old[1], new=str(new[1]))
        return replace(action, part=str(old[-1]), new=str(new[-1]))

    def _replacing(self, key: Key, made: Action) -> Action:
        dropped = self._dropped[key]
        if dropped.kind in ("table", "type"):
            # A type is mostly renamed out of the way first: then only the making has its name.
            line = made.line if made.kind == "type" else dropped.line
            return replace(_under(made, key), verb="rebuild", line=line, tolerant=False)
        return replace(
            made, verb="alter", aspect="definition", tolerant=False, guarded=made.guarded or dropped.guarded
        )


def _under(made: Action, key: Key) -> Action:
    """Something made under one name that ended under another."""
    if key == key_of(made):
        return made
    if len(key) == 2 and isinstance(key[1], Name):
        return replace(made, owner=key[1])
    return replace(made, part=str(key[-1]))
