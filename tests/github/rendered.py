"""What GitHub would make of a Markdown text: rendered by markdown-it with GitHub's extensions, then read as HTML.

HTML in the source is let through, as GitHub does before it sanitises; so whatever breaks out is seen here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from markdown_it import MarkdownIt

VOID = {"br", "hr", "img", "input"}
# GitHub looks for these in every text that is not code (html-pipeline ignores pre, code, a, style, script).
MEANS_SOMETHING = re.compile(
    r"(?<!\w)@\w"  # somebody
    r"|#\d|\bGH-\d"  # an issue
    r"|https?:|www\.|\w@\w+\.\w"  # an address
    r"|\b[0-9a-f]{7,40}\b"  # a commit
    r"|:[a-z_+]+[a-z0-9_+-]*:"  # an emoji
    r"|\$|\[[ x]\]"  # a formula, a task
    r"|[\u200b-\u200f\u202a-\u202e\u2066-\u2069\x00-\x08\x1b]",
    re.IGNORECASE,
)


@dataclass
class Page(HTMLParser):
    """The elements of a page, and its text inside and outside of code."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "code":
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if "code" in self.open:
            self.code[-1] += data
        else:
            self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_decl(self, decl: str) -> None:
        self.wrong.append(decl)

    unknown_decl = handle_pi = handle_decl

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def render(markdown: str) -> Page:
    html = MarkdownIt("gfm-like", {"html": True, "linkify": True}).render(markdown)
    page = Page()
    page.feed(html)
    page.close()
    assert not page.open, page.open
    return page


OURS = {
    *("h3 h4 p strong em code pre a ul li table thead tbody tr th td details summary".split()),
}


def assert_harmless(markdown: str, server: str = "https://github.com/octo/shop/") -> Page:
    """Nothing in the text means more than it should: no element, link, mention or comment of a stranger's."""
    page = render(markdown)
    assert not page.wrong, page.wrong
    assert {tag for tag, _ in page.tags} <= OURS, {tag for tag, _ in page.tags} - OURS
    for tag, attributes in page.tags:
        allowed = {"a": {"href"}, "code": {"class"}}.get(tag, set())
        assert set(attributes) <= allowed, (tag, attributes)
    for attributes in page.named("code"):
        assert attributes.get("class") in (
            None,
            *(f"language-{x}" for x in "mermaid bash diff text sql python".split()),
        )
    for attributes in page.named("a"):
        assert (attributes["href"] or "").startswith(server), attributes
        assert re.fullmatch(r"[A-Za-z0-9:/._~#%-]+", attributes["href"] or ""), attributes
    for text in page.text:
        found = MEANS_SOMETHING.search(text)
        # Links of ours to pull requests are `#12` inside <a>, which GitHub leaves alone.
        assert found is None or re.fullmatch(r"#\d+", text), (text, found)
    return page
