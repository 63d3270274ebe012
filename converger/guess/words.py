"""A cursor over the words of one SQL statement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from converger.guess.model import Name, Word, named
from converger.proof.sqltokens import Token, tokens

_LONGEST = 200_000
"""Characters of SQL that are looked at; more than that is data."""

_KEYWORDS = frozenset(
    "ADD ALL ALTER AND ANY AS ASC BEGIN BETWEEN BY CASCADE CASE CAST CHECK COLLATE COLUMN CONFLICT CONSTRAINT CREATE"
    " CROSS DEFAULT DELETE DESC DISTINCT DO DROP ELSE END EXCEPT EXISTS FALSE FOR FOREIGN FROM FULL GROUP HAVING IF"
    " IN INDEX INNER INSERT INTERSECT INTO IS JOIN KEY LATERAL LEFT LIKE ILIKE LIMIT NATURAL NOT NOTHING NULL OFFSET"
    " ON ONLY OR ORDER OUTER OVER PARTITION PRIMARY REFERENCES RETURNING RIGHT SELECT SET TABLE THEN TO TRUE UNION"
    " UNIQUE UPDATE USING VALUES VIEW WHEN WHERE WITH".split()
)
_BEFORE_TABLE = frozenset({"FROM", "JOIN", "INTO", "UPDATE", "REFERENCES", "LIKE", "TABLE", "INHERITS"})


class Unknown(Exception):
    """What only the database, or a parser, would understand."""


def split_statements(text: str) -> Iterator[list[Token]]:
    """The tokens of each statement. Raises Unknown for a text that is too long to look at."""
    if len(text) > _LONGEST:
        raise Unknown
    statement: list[Token] = []
    for token in tokens(text, "postgresql"):
        if token.kind == "mark" and token.text == ";":
            if statement:
                yield statement
            statement = []
        else:
            statement.append(token)
    if statement:
        yield statement


class Words:
    """Every method that takes something raises Unknown where it is not there."""

    def __init__(self, text: str, statement: Sequence[Token]) -> None:
        self._tokens = statement
        self._at = 0
        self.line = text.count("\n", 0, statement[0].start)

    # -- one word after the other ------------------------------------------------------------------

    def peek(self) -> str:
        """The next word in capitals; empty where it is no word."""
        token = self._token()
        return token.text if token is not None and token.kind == "word" else ""

    def peek_mark(self) -> str:
        token = self._token()
        return token.text if token is not None and token.kind == "mark" else ""

    def _token(self, ahead: int = 0) -> Token | None:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else None

    def next(self) -> Token:
        token = self._token()
        if token is None:
            raise Unknown
        self._at += 1
        return token

    @property
    def ended(self) -> bool:
        return self._at >= len(self._tokens)

    def take(self, word: str) -> None:
        if not self.take_if(word):
            raise Unknown

    def take_if(self, *phrase: str) -> bool:
        for ahead, word in enumerate(phrase):
            token = self._token(ahead)
            if token is None or token.kind not in ("word", "mark") or token.text != word:
                return False
        self._at += len(phrase)
        return True

    def skip_to(self, word: str) -> None:
        while not self.take_if(word):
            self.next()

    def skip_if_there(self, word: str) -> bool:
        """Skip to behind a word; stay where there is none."""
        at = self._at
        try:
            self.skip_to(word)
        except Unknown:
            self._at = at
            return False
        return True

    def path(self) -> list[str]:
        """The parts of a dotted name."""
        parts = [self._identifier()]
        while self.take_if("."):
            parts.append(self._identifier())
        return parts

    def name(self) -> Name:
        parts = self.path()
        return named(parts[-1], parts[-2] if len(parts) > 1 else None)

    def _identifier(self) -> str:
        token = self.next()
        if token.identifier is None:
            raise Unknown
        return token.identifier

    def names(self) -> Iterator[Name]:
        yield self.name()
        while self.take_if(","):
            yield self.name()

    def string(self) -> str:
        token = self.next()
        if token.kind != "string":
            raise Unknown
        return token.text

    def bracketed(self) -> list[Token]:
        """What stands between the bracket that comes next and its partner."""
        self.take("(")
        depth = 1
        found: list[Token] = []
        while True:
            token = self.next()
            if token.kind == "mark" and token.text == "(":
                depth += 1
            elif token.kind == "mark" and token.text == ")":
                depth -= 1
                if not depth:
                    return found
            found.append(token)

    def bracketed_names(self) -> list[str]:
        """The names in a list of columns."""
        return [t.identifier for t in self.bracketed() if t.identifier is not None]

    def arguments(self) -> str:
        """The argument list of a function, as text; empty where none is written."""
        return f"({_joined(self.bracketed())})" if self.peek_mark() == "(" else ""

    # -- the statement as a whole ------------------------------------------------------------------

    def text(self) -> str:
        """The statement with its blanks and comments normalised, equal only where the statement is."""
        return _joined(self._tokens)

    def text_from_here(self) -> str:
        return _joined(self._tokens[self._at :])

    def text_until(self, word: str) -> str:
        """Everything up to a word, which is not taken."""
        start = self._at
        while self.peek() != word:
            self.next()
        return _joined(self._tokens[start : self._at])

    def has(self, *words: str) -> bool:
        return any(t.kind == "word" and t.text in words for t in self._tokens)

    def tables(self) -> list[Name]:
        """The names behind FROM, JOIN and the like, each once; a word list, no parse."""
        return list(dict.fromkeys(name for name, _ in self._tables()))

    def _tables(self) -> Iterator[tuple[Name, str | None]]:
        """Tables with their aliases."""
        saved = self._at
        for number, token in enumerate(self._tokens):
            if token.kind != "word" or token.text not in _BEFORE_TABLE:
                continue
            self._at = number + 1
            self.take_if("IF", "NOT", "EXISTS")
            self.take_if("IF", "EXISTS")
            while True:
                self.take_if("ONLY")
                start = self._token()
                if start is None or start.identifier is None or self.peek() in _KEYWORDS:
                    break
                try:
                    name = self.name()
                except Unknown:
                    break
                if self.peek_mark() == "(" and token.text in ("FROM", "JOIN"):
                    break  # a function
                self.take_if("AS")
                alias = self._token()
                known = alias is not None and alias.identifier is not None and self.peek() not in _KEYWORDS
                yield name, self._identifier() if known else None
                if token.text != "FROM" or not self.take_if(","):
                    break
        self._at = saved

    def mentions(self) -> tuple[frozenset[Word], bool]:
        """All names that the statement mentions, and whether they can be of one table only."""
        aliases: dict[str, str] = {}
        for name, alias in self._tables():
            aliases[name.name] = name.name
            if alias is not None:
                aliases[alias] = name.name
        found = set()
        for number, token in enumerate(self._tokens):
            if token.identifier is None or (token.kind == "word" and token.text in _KEYWORDS):
                continue
            qualifier = None
            if number > 1 and self._tokens[number - 1].text == ".":
                qualifier = self._tokens[number - 2].identifier
            found.add(Word(aliases.get(qualifier, qualifier) if qualifier else None, token.identifier))
        return frozenset(found), len(set(aliases.values())) <= 1

    def assigned(self) -> tuple[str, ...] | None:
        """The columns behind SET; None where the list is unusual."""
        found: list[str] = []
        try:
            self.skip_to("SET")
            while True:
                found.append(self.path()[-1])
                self.take("=")
                depth = 0
                while not self.ended:
                    mark = self.peek_mark()
                    if depth == 0 and (mark == "," or self.peek() in ("WHERE", "FROM", "RETURNING")):
                        break
                    depth += (mark == "(") - (mark == ")")
                    self.next()
                if not self.take_if(","):
                    return tuple(found)
        except Unknown:
            return None

    def condition(self) -> str:
        """What stands behind the last WHERE that is in no brackets; empty where there is none."""
        depth = 0
        start = None
        for number, token in enumerate(self._tokens):
            if token.kind == "mark":
                depth += (token.text == "(") - (token.text == ")")
            elif token.kind == "word" and token.text == "WHERE" and depth == 0:
                start = number + 1
        return "" if start is None else _joined(self._tokens[start:])


def _joined(parts: Sequence[Token]) -> str:
    return " ".join(
        f"'{t.text}'"
        if t.kind == "string"
        else f'"{t.text}"'
        if t.kind == "name" and t.text != t.text.lower()
        else t.text.upper()
        for t in parts
    )
