"""The kinds of conflict: their names, which are stable, what they lead to, and what to do. Data only.

`kinds.md` beside this file has a section for each, with a bad and a good example.
"""

from __future__ import annotations

from dataclasses import dataclass

from converger.proof.model import Verdict

ALL = ("postgresql", "mysql", "sqlite")
_POSTGRESQL = ("postgresql",)
_NOT_SQLITE = ("postgresql", "mysql")

_FAILS: tuple[Verdict, ...] = ("neither-order", "one-order")
_NEITHER: tuple[Verdict, ...] = ("neither-order",)
_ONE: tuple[Verdict, ...] = ("one-order",)
_DIFFER: tuple[Verdict, ...] = ("differ",)


@dataclass(frozen=True)
class Kind:
    """One way in which two revisions do not get along.

    `advice` is what to do, with {objects} for what it is about; {first} and {second} are the revisions: where one
    fails, {second} fails after {first}.
    """

    name: str
    title: str
    verdicts: tuple[Verdict, ...]
    advice: str
    dialects: tuple[str, ...] = ALL


KINDS: tuple[Kind, ...] = (
    Kind(
        "duplicate-table",
        "Both create a table, view or sequence of the same name",
        _FAILS,
        "Decide which revision creates {objects}, and take it out of the other one: {first} or {second}, whichever"
        " has not run anywhere that matters. If these are two things, give one of them another name.",
    ),
    Kind(
        "duplicate-column",
        "Both add the same column",
        _FAILS,
        "Decide which revision adds {objects}, with which type, and take it out of the other one ({first} or"
        " {second}). IF NOT EXISTS only hides it: the type would then depend on the order.",
    ),
    Kind(
        "duplicate-index-name",
        "Both create an index of the same name",
        _FAILS,
        "Give the index {objects} another name in {first} or {second}; if both mean the same index, keep one.",
    ),
    Kind(
        "duplicate-constraint-name",
        "Both create a constraint of the same name",
        _FAILS,
        "Give the constraint {objects} another name in {first} or {second}; if both mean the same, keep one.",
    ),
    Kind(
        "duplicate-object",
        "Both create a type, schema, function, trigger or the like of the same name",
        _FAILS,
        "Create {objects} in one of {first} and {second} only, or give one of the two another name.",
    ),
    Kind(
        "duplicate-enum-label",
        "Both add the same label to an enum",
        _FAILS,
        "Take the label out of {first} or {second}. With ADD VALUE IF NOT EXISTS in both, and the same BEFORE or"
        " AFTER, any order works.",
        _POSTGRESQL,
    ),
    Kind(
        "second-primary-key",
        "Both give a table a primary key",
        _FAILS,
        "A table has one primary key: decide which it is ({objects}), and drop the statement from {first} or"
        " {second}.",
        _NOT_SQLITE,
    ),
    Kind(
        "partition-overlap",
        "Both make a partition for some of the same values",
        _FAILS,
        "Change the bounds in {first} or {second} so that no value belongs to both partitions ({objects}).",
        _POSTGRESQL,
    ),
    Kind(
        "dropped-table-used",
        "One drops a table that the other uses",
        _FAILS,
        "{first} drops {objects}, {second} still needs it. Either keep the table, or take out of {second} what it"
        " does with it. Moving the drop into a revision behind the merge lets both run first.",
    ),
    Kind(
        "dropped-column-used",
        "One drops a column that the other uses",
        _FAILS,
        "{first} drops {objects}, {second} still needs it. Either keep the column, or take out of {second} what it"
        " does with it. Moving the drop into a revision behind the merge lets both run first.",
    ),
    Kind(
        "dropped-object-used",
        "One drops an index, constraint, function, type or the like that the other uses",
        _FAILS,
        "{first} drops {objects}, {second} still needs it. Keep it, or take out of {second} what needs it.",
    ),
    Kind(
        "dropped-twice",
        "Both drop the same thing",
        _NEITHER,
        "Drop {objects} in one of {first} and {second} only. IF EXISTS in both lets upgrades pass, but then every"
        " order of downgrades makes it twice.",
    ),
    Kind(
        "dropped-object-needed",
        "One drops or changes something that the other has built on",
        _FAILS,
        "{second} cannot drop or change what {objects} from {first} is built on. Take one of the two out, or drop it"
        " in a revision behind the merge, together with what needs it.",
    ),
    Kind(
        "view-dependency",
        "One creates a view on what the other drops or changes",
        _FAILS,
        "The view {objects} from {first} holds what {second} drops or changes. Let {second} drop the view first and"
        " create it again afterwards, or create the view in a revision behind the merge.",
        ALL,
    ),
    Kind(
        "renamed-table-used",
        "One renames or moves a table that the other uses under its old name",
        _FAILS,
        "{first} renames {objects}, {second} uses the old name. Rename in a revision behind the merge, or use the"
        " new name in {second} and make it descend from {first}.",
    ),
    Kind(
        "renamed-column-used",
        "One renames a column that the other uses under its old name",
        _FAILS,
        "{first} renames {objects}, {second} uses the old name. Rename in a revision behind the merge, or use the"
        " new name in {second} and make it descend from {first}.",
    ),
    Kind(
        "renamed-twice",
        "Both rename the same thing",
        _NEITHER,
        "Agree on one new name for {objects}, and take the renaming out of {first} or {second}.",
    ),
    Kind(
        "enum-label-gone",
        "One renames or removes an enum label that the other uses",
        _FAILS,
        "{first} changes the labels of {objects}; {second} still uses one that is gone. Use the new label in"
        " {second} and make it descend from {first}, or rename in a revision behind the merge.",
        _NOT_SQLITE,
    ),
    Kind(
        "type-changed-under-use",
        "One changes a type, the other does what fits the old type only",
        _FAILS,
        "The type of {objects} changes: write what the other revision does with it so that it fits both types, or put"
        " it behind the change ({first}, {second}).",
    ),
    Kind(
        "type-against-data",
        "One changes a type, the other writes values that do not fit it",
        _FAILS,
        "The rows that one of {first} and {second} writes do not fit the new type of {objects}. Change the values,"
        " or make room for them.",
    ),
    Kind(
        "not-null-against-data",
        "One makes a column NOT NULL, the other writes rows without it",
        _FAILS,
        "Name {objects} in the INSERT or UPDATE of the other revision, or give the column a server default, in {first}"
        " or {second}.",
    ),
    Kind(
        "unique-against-data",
        "One makes values unique, the other writes duplicates",
        _FAILS,
        "The rows of the other revision do not satisfy {objects}. Change the rows, or the key, in {first} or"
        " {second}.",
    ),
    Kind(
        "check-against-data",
        "One adds a CHECK, the other writes rows against it",
        _FAILS,
        "The rows of the other revision do not satisfy {objects}. Change the rows, or the condition, in {first} or"
        " {second}.",
    ),
    Kind(
        "foreign-key-against-data",
        "A foreign key stands between the rows of one and the other",
        _FAILS,
        "Rows that refer to each other are written or deleted by {first} and {second} ({objects}): insert parents"
        " where they are needed, or delete by a condition that spares what is referred to.",
    ),
    Kind(
        "same-row-inserted",
        "Both insert a row with the same key",
        _FAILS,
        "Insert the row of {objects} in one of {first} and {second} only. Where both need it, both write the same"
        " values with ON CONFLICT DO NOTHING (INSERT IGNORE on MySQL).",
    ),
    Kind(
        "enum-label-in-transaction",
        "One adds an enum label, the other uses the enum in the same transaction",
        _ONE,
        "PostgreSQL does not let a new label of {objects} be used in the transaction that added it. Add it in"
        " {first} inside `with op.get_context().autocommit_block():`, or let env.py use transaction_per_migration.",
        _POSTGRESQL,
    ),
    Kind(
        "pending-trigger-events",
        "One changes rows, the other alters their table in the same transaction",
        _ONE,
        "Rows of {objects} were changed and a deferred constraint is not checked yet, so the table cannot be altered."
        " Run SET CONSTRAINTS ALL IMMEDIATE at the end of {first}, or let env.py use transaction_per_migration.",
        _POSTGRESQL,
    ),
    Kind(
        "session-setting-leaks",
        "One changes a setting of the session, and what the other does depends on it",
        ("differ", "one-order"),
        "A revision leaves the session's settings (search_path, say) changed, and the other's objects land elsewhere:"
        " {objects}. Use SET LOCAL and set it back at the end, or write names with their schema, in {first} and"
        " {second}.",
        _POSTGRESQL,
    ),
    Kind(
        "limit-exceeded",
        "Each fits, both together are more than the database allows",
        _FAILS,
        "Make the columns or keys that {first} and {second} add to {objects} smaller, or move some to another table.",
        _NOT_SQLITE,
    ),
    Kind(
        "first-writer-wins",
        "Both create the same thing where it is missing, and each would make it otherwise",
        _DIFFER,
        "The revision that runs first decides what {objects} is: IF NOT EXISTS skips the other. Write the same"
        " definition in {first} and {second}, or create it in one of them.",
    ),
    Kind(
        "last-writer-wins",
        "Both set the same property, and the one that runs last wins",
        _DIFFER,
        "The revision that runs last decides about {objects}. Agree on one definition, and put it into a revision"
        " behind the merge: databases that ran either order then end alike.",
    ),
    Kind(
        "function-replaced",
        "Both replace the same function",
        ("differ", "neither-order", "one-order"),
        "The revision that runs last decides what {objects} does, and the other's change is lost. Put one definition"
        " that has both changes into a revision behind the merge.",
        _POSTGRESQL,
    ),
    Kind(
        "view-replaced",
        "Both replace the same view",
        ("differ", "neither-order", "one-order"),
        "The revision that runs last decides what {objects} shows, or it fails because a column would go. Put one"
        " definition that has both changes into a revision behind the merge.",
        _NOT_SQLITE,
    ),
    Kind(
        "drop-if-exists",
        "One drops, if it is there, what the other creates or changes",
        _DIFFER,
        "Whether {objects} is there at the end depends on the order: a DROP … IF EXISTS finds it or not. Take the drop"
        " out of one of {first} and {second}, or write plainly what is meant in a revision behind the merge.",
    ),
    Kind(
        "grant-and-revoke",
        "Both change the privileges of the same thing",
        _DIFFER,
        "Who may use {objects} depends on the order. State all its privileges, in a revision behind the merge.",
        _NOT_SQLITE,
    ),
    Kind(
        "enum-label-order",
        "Both add a label to an enum, and their order depends on the order of the revisions",
        _DIFFER,
        "Comparisons and ORDER BY on {objects} would differ between databases. Write ADD VALUE … BEFORE or AFTER a"
        " label that was there before in {first} and {second}: then any order gives the same list.",
        _POSTGRESQL,
    ),
    Kind(
        "generated-constraint-name",
        "Both leave the name of a constraint or index to the database",
        _DIFFER,
        "The database numbers the names as they come ({objects}), and a later DROP CONSTRAINT finds the wrong one."
        " Name them in {first} and {second}, or use a naming convention in the metadata.",
    ),
    Kind(
        "trigger-order",
        "Both create a trigger for the same event, and they fire in the order of their creation",
        _DIFFER,
        "What {objects} does to a row depends on which trigger is older. Write FOLLOWS or PRECEDES, make one trigger of"
        " the two, or create both in a revision behind the merge.",
        ("mysql",),
    ),
    Kind(
        "select-star-view",
        "One creates a view of all columns, the other changes the columns",
        _DIFFER,
        "A view keeps the columns that were there when it was created. Name the columns of {objects}, or create it in"
        " a revision behind the merge.",
        _NOT_SQLITE,
    ),
    Kind(
        "copied-definition",
        "One copies the definition of a table that the other changes",
        _DIFFER,
        "{objects} was copied from a table before or after the other revision changed that. Write the definition out,"
        " or copy in a revision behind the merge.",
    ),
    Kind(
        "inherited-default",
        "One changes a default that what the other creates takes over",
        _DIFFER,
        "{objects} was created before or after the default changed. State it for the new object itself (GRANT,"
        " CHARACTER SET, COLLATE), in {first} or {second}.",
        _NOT_SQLITE,
    ),
    Kind(
        "applied-to-what-exists",
        "One changes everything there is, and the other creates more of it",
        _DIFFER,
        "A loop over all tables, or ON ALL TABLES, reaches {objects} only where that is there already. Do the same for"
        " it in the revision that creates it, so that it does not matter which runs first.",
    ),
    Kind(
        "lost-by-table-rebuild",
        "One builds a table anew and loses what the other added to it",
        _DIFFER,
        "Building the table anew (batch mode, or CREATE, INSERT, DROP, RENAME) loses {objects}. Reflect the table"
        " instead of copy_from, name CHECK constraints, create triggers again afterwards; or use ALTER TABLE.",
    ),
    Kind(
        "same-rows-updated",
        "Both change rows of the same table, and the order shows",
        _DIFFER,
        "Rows of {objects} end different. Make the conditions of {first} and {second} exclude each other, or set the"
        " final values in a revision behind the merge.",
    ),
    Kind(
        "computed-from-changed-rows",
        "One computes rows from others that the other revision changes",
        _DIFFER,
        "Rows of {objects} were computed before or after those they come from had changed. Compute them in a revision"
        " behind the merge.",
    ),
    Kind(
        "default-used-by-insert",
        "One changes a default that the other's rows take",
        _DIFFER,
        "Rows of {objects} take whatever default there is when they are inserted. Name the column and its value in the"
        " INSERT.",
    ),
    Kind(
        "trigger-on-changed-rows",
        "One changes a trigger, the other writes rows that fire it",
        _DIFFER,
        "Rows of {objects} are written with the trigger or without it. Write the values that are meant, or write the"
        " rows in a revision behind the merge.",
    ),
    Kind(
        "unclassified",
        "Something else",
        ("one-order", "neither-order", "differ", "broken"),
        "Compare what {first} and {second} do ({objects}). Change the newer of the two so that it holds whether or not"
        " the other has run, or move the change into a revision behind the merge.",
    ),
)
