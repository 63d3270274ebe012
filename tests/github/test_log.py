"""What a run prints: no secret but where it is masked, and nothing that a runner takes for a command."""

from __future__ import annotations

import pytest

from converger.github.annotations import Annotation
from converger.github.log import Log, LogProgress, secrets_of

TOKEN = "ghs_s3cr3t"


@pytest.mark.parametrize(
    ("url", "hidden"),
    [
        ("postgresql://me:p%40ss@db/x", {"p@ss", "p%40ss"}),
        ("postgresql://me@db/x?password=two%20words&sslmode=require", {"two words", "two%20words"}),
        ("postgresql://me@db/x?sslpassword=of-the-key&sslkey=/k", {"of-the-key"}),
        ("mysql+pymysql://me:root@db/x", set()),
        ("postgresql://postgres:postgres@postgres/postgres", set()),
        ("postgresql://same:same@db/x", set()),
        ("postgresql://me:s3cr3t@db:port/x", {"postgresql://me:s3cr3t@db:port/x"}),
    ],
)
def test_secrets_of_an_environment(url: str, hidden: set[str]) -> None:
    found = secrets_of({"INPUT_TOKEN": f" {TOKEN}\n", "INPUT_DATABASE-URL": url})
    assert found[0] == TOKEN
    assert {secret for secret in found[1:] if not secret.startswith("postgresql%3A")} == hidden


def test_lines_are_text_without_secrets() -> None:
    lines: list[str] = []
    log = Log(lines.append, (TOKEN, "two words", "abc"))
    log.mask()
    assert lines == [f"::add-mask::{TOKEN}", "::add-mask::two words", "::add-mask::abc"]
    lines.clear()
    log.say(f"  ::set-env name=X::{TOKEN} two words abc")
    log.say("##[error]x \x1b[31mred\r\n::error::y")
    log.annotate([Annotation("error", f"50% of {TOKEN}\n::error::z", "a:b,c", "src/x.py", 3)])
    LogProgress(log).say(f"upgrading {TOKEN}\n::error::w")
    assert not any(TOKEN in line or "two words" in line for line in lines), lines
    assert not [
        line for line in lines if line.lstrip().startswith("::") and not line.startswith("::error file=")
    ]
    assert not any("##[" in line or "\n" in line or "\r" in line or "\x1b" in line for line in lines)
    assert lines[2] == "::error file=src/x.py,line=3,title=a%3Ab%2Cc::50%25 of ***%0A::error::z"
    assert repr(log).count(TOKEN) == 0
