"""Make the pictures of docs/comment.md: real comments, drawn as GitHub draws them, in a browser.

Run it in the project's development environment, with Chromium (Debian: `apt-get install chromium fonts-liberation
fonts-noto-color-emoji pngquant`) and two npm packages in any folder:

    npm install --prefix FOLDER github-markdown-css@5 mermaid@11
    python docs/pictures/make.py --npm FOLDER                     # the pictures of the documentation
    python docs/pictures/make.py --npm FOLDER --all --to FOLDER2  # every scenario, light and dark, to look at
    python docs/pictures/make.py --npm FOLDER --hostile           # Mermaid reads every hostile label; no pictures

The comments are written by real runs (scenarios.py), Markdown is rendered by markdown-it-py with GitHub's extensions,
in GitHub's style sheet, and graphs by Mermaid with its themes for light and dark pages. No part of the tests or of CI:
these pin the text, a person looks at the pictures.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

WIDTH = 894
"""A comment on GitHub's page of a pull request: 860 pixels in a window of 1280, and a little room around it."""

_PAGE = """\
<!DOCTYPE html>
<meta charset="utf-8">
<title>comment</title>
<style>{css}</style>
<style>
  body {{ margin: 0; padding: 16px; background: {background}; }}
  .box {{ border: 1px solid {border}; border-radius: 6px; overflow: hidden; background: {background}; }}
  .top {{ padding: 8px 16px; border-bottom: 1px solid {border}; background: {bar}; color: {muted};
    font: 14px -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; }}
  .top b {{ color: {text}; }}
  .top i {{ font-style: normal; font-size: 12px; border: 1px solid {border}; border-radius: 2em; padding: 0 6px; }}
  .markdown-body {{ box-sizing: border-box; padding: 16px; font-size: 14px; background: {background}; }}
  .changed {{ color: {changed}; background: {changed_bar}; }}
  .added {{ color: {added}; background: {added_bar}; }}
  .removed {{ color: {removed}; background: {removed_bar}; }}
  .mermaid {{ text-align: center; background: none !important; padding: 0 !important; }}
</style>
<div class="box"><div class="top"><b>{who}</b> <i>bot</i> &nbsp;{did}</div>
<article class="markdown-body">
{body}
</article></div>
<script src="{mermaid}"></script>
<script>
  mermaid.initialize({{ startOnLoad: false, theme: "{theme}", securityLevel: "strict" }});
  mermaid.run({{ querySelector: "pre.mermaid" }})
    .then(() => done("")).catch((error) => done(String(error && error.message || error)));
  function done(error) {{
    document.body.dataset.error = error;
    document.body.dataset.height = document.documentElement.offsetHeight;
    document.body.dataset.wide = [...document.querySelectorAll("table, pre")]
      .filter((one) => one.scrollWidth > one.clientWidth + 1).length;
  }}
</script>
"""

_LOOKS = {
    "light": {
        "css": "github-markdown-light.css",
        "theme": "default",
        "background": "#ffffff",
        "border": "#d1d9e0",
        "bar": "#f6f8fa",
        "muted": "#59636e",
        "text": "#1f2328",
        "changed": "#953800",
        "changed_bar": "#ffd8b5",
        "added": "#116329",
        "added_bar": "#dafbe1",
        "removed": "#82071e",
        "removed_bar": "#ffebe9",
    },
    "dark": {
        "css": "github-markdown-dark.css",
        "theme": "dark",
        "background": "#0d1117",
        "border": "#3d444d",
        "bar": "#151b23",
        "muted": "#9198a1",
        "text": "#f0f6fc",
        "changed": "#ffdfb6",
        "changed_bar": "#5a1e02",
        "added": "#aff5b4",
        "added_bar": "#033a16",
        "removed": "#ffdcd7",
        "removed_bar": "#67060c",
    },
}


@dataclass(frozen=True)
class Browser:
    """Chromium, and where the npm packages are."""

    program: str
    packages: Path

    def page(self, markdown: str, look: str, *, unfolded: bool, did: str) -> str:
        """The page of one comment, in light or dark."""
        values = dict(_LOOKS[look])
        css = (self.packages / "github-markdown-css" / values.pop("css")).read_text()
        body = rendered(markdown)
        if unfolded:
            body = body.replace("<details>", "<details open>")
        mermaid = (self.packages / "mermaid" / "dist" / "mermaid.min.js").as_uri()
        return _PAGE.format(css=css, body=body, mermaid=mermaid, who="github-actions", did=did, **values)

    def attributes(self, page: Path) -> dict[str, str]:
        """What the page says of itself when everything is drawn: its height, and errors."""
        done = self._call("--dump-dom", f"--window-size={WIDTH},1000", page.as_uri())
        found = dict(re.findall(r'data-(error|height|wide)="([^"]*)"', done.stdout.decode()))
        if "height" not in found:
            raise SystemExit(f"{page}: the browser did not finish: {done.stderr.decode()[-500:]}")
        return {name: html.unescape(value) for name, value in found.items()}

    def picture(self, page: Path, to: Path, height: int, scale: int = 1) -> None:
        """A screenshot of the whole page."""
        to.unlink(missing_ok=True)
        size = (f"--window-size={WIDTH},{height}", f"--force-device-scale-factor={scale}")
        self._call(*size, f"--screenshot={to}", page.as_uri())
        if not to.exists():
            raise SystemExit(f"{page}: no screenshot")

    def _call(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        with tempfile.TemporaryDirectory() as profile:
            command = [
                self.program,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--allow-file-access-from-files",
                "--virtual-time-budget=20000",
                f"--user-data-dir={profile}",
                *arguments,
            ]
            return subprocess.run(command, capture_output=True, timeout=120)


def rendered(markdown: str) -> str:
    """The HTML of a comment; blocks of Mermaid are left to Mermaid. Of the colours of code only a diff's are there."""
    from markdown_it import MarkdownIt

    def block(found: re.Match[str]) -> str:
        if found[1] == "mermaid":
            return f'<pre class="mermaid">{found[2]}</pre>'
        lines = [
            next(
                (
                    f'<span class="{kind}">{line}</span>'
                    for mark, kind in marks.items()
                    if line.startswith(mark)
                ),
                line,
            )
            for line in found[2].split("\n")
        ]
        return "<pre><code>{}</code></pre>".format("\n".join(lines))

    marks = {"! ": "changed", "+ ": "added", "- ": "removed"}
    text = MarkdownIt("gfm-like", {"html": True, "linkify": True}).render(markdown)
    return re.sub(
        r'<pre><code class="language-(mermaid|diff)">(.*?)</code></pre>', block, text, flags=re.DOTALL
    )


def draw(
    browser: Browser,
    markdown: str,
    to: Path,
    *,
    look: str = "light",
    unfolded: bool = False,
    did: str = "",
    scale: int = 1,
) -> str:
    """Draw one comment; gives a line about what came out."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(browser.page(markdown, look, unfolded=unfolded, did=did or "commented just now"))
        said = browser.attributes(page)
        browser.picture(page, to, int(said["height"]), scale)
    _shrink(to)
    wide = f", {said['wide']} parts scroll sideways" if said["wide"] != "0" else ""
    error = f", MERMAID: {said['error']}" if said["error"] else ""
    return f"{to.name}: {said['height']} px, {to.stat().st_size // 1024} kB{wide}{error}"


def _shrink(picture: Path) -> None:
    """Fewer colours, where pngquant is there: text and lines need no more."""
    program = shutil.which("pngquant")
    if program is not None:
        subprocess.run([program, "--force", "--output", str(picture), "128", str(picture)], check=False)


# -- hostile text ------------------------------------------------------------------------------


def hostile(browser: Browser) -> Iterable[str]:
    """Comments full of hostile text: Mermaid must draw each graph, with each label as it is. Gives what went wrong."""
    from converger.github.comment import comment_body
    from converger.report.mermaid import mermaid
    from converger.report.selection import caption, select
    from tests.github.results import hostile as result_of
    from tests.github.test_comment import HOSTILE, KEY
    from tests.report.test_mermaid_and_dot import EVIL, evil_graph

    graphs: list[tuple[str, list[list[str]]]] = []
    for text in dict.fromkeys((*EVIL, *HOSTILE)):
        view = select(evil_graph(text), everything=True)
        graphs.append(("\n".join(mermaid(view)), [list(caption(node, view)) for node in view.nodes]))
    for text in HOSTILE:
        found = re.search(
            r"^```mermaid\n(.*?)^```$", comment_body(result_of(text), KEY), re.DOTALL | re.MULTILINE
        )
        if found is not None:
            graphs.append((found[1], []))
    script = (browser.packages / "mermaid" / "dist" / "mermaid.min.js").as_uri()
    given = json.dumps([drawn for drawn, _ in graphs]).replace("<", "\\u003c")
    page_text = f"""<!DOCTYPE html><meta charset="utf-8"><body><script src="{script}"></script><script>
    const graphs = {given};
    mermaid.initialize({{ startOnLoad: false, securityLevel: "strict" }});
    (async () => {{
      const out = [];
      for (const [i, text] of graphs.entries()) {{
        try {{
          const drawn = await mermaid.render("g" + i, text);
          const box = document.createElement("div");
          box.innerHTML = drawn.svg;
          const bad = box.querySelectorAll("a, script, img, iframe, [onclick], [onerror]").length;
          out.push({{ labels: [...box.querySelectorAll(".nodeLabel")].map((one) => one.innerHTML), bad }});
        }} catch (error) {{ out.push({{ error: String(error && error.message || error) }}); }}
      }}
      const pre = document.createElement("pre");
      pre.textContent = JSON.stringify(out);
      pre.id = "out";
      document.body.replaceChildren(pre);
    }})();
    </script>"""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(page_text)
        dom = browser._call("--dump-dom", page.as_uri()).stdout.decode()
    found = re.search(r'<pre id="out">(.*?)</pre>', dom, re.DOTALL)
    if found is None:
        yield "the browser did not finish"
        return
    results = json.loads(html.unescape(found[1]))
    say(f"{len(graphs)} graphs with hostile labels")
    for (text, captions), result in zip(graphs, results, strict=True):
        if "error" in result or result.get("bad"):
            yield f"{result}\n{text}"
            continue
        shown = sorted(_plain(label) for label in result["labels"])
        expected = sorted("\n".join(lines) for lines in captions)
        if captions and _squeezed(shown) != _squeezed(expected):
            yield f"labels differ: {shown} instead of {expected}"


def _plain(label: str) -> str:
    text = re.sub(r"<br\s*/?>", "\n", label)
    return html.unescape(re.sub(r"</?(?:p|span)(?: [^>]*)?>", "", text)).replace("\u200b", "")


def _squeezed(labels: Sequence[str]) -> list[str]:
    return ["".join(label.split()) for label in labels]


# -- the command -------------------------------------------------------------------------------

PICTURES = {
    "comment-merged": ("merged", "light"),
    "comment-merged-dark": ("merged", "dark"),
    "comment-refused": ("refused", "light"),
    "comment-differ": ("differ", "light"),
    "comment-fork": ("fork", "light"),
    "comment-resolved": ("resolved", "light"),
}


def say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--npm", type=Path, required=True, help="the folder in which npm installed the packages"
    )
    parser.add_argument("--to", type=Path, default=HERE, help="where pictures go")
    parser.add_argument(
        "--all", action="store_true", help="every scenario, light and dark, folded and unfolded"
    )
    parser.add_argument("--hostile", action="store_true", help="let Mermaid read hostile labels")
    parser.add_argument(
        "--markdown", type=Path, help="a folder with Markdown files to draw, instead of running"
    )
    parser.add_argument("--only", action="append", default=[], help="only this one")
    options = parser.parse_args()
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    packages = options.npm.resolve() / "node_modules"
    if program is None or not (packages / "mermaid").is_dir():
        parser.error("Chromium and the npm packages are needed; see the top of this file")
    browser = Browser(program, packages)
    if options.hostile:
        wrong = list(hostile(browser))
        say(*wrong)
        return 1 if wrong else 0
    options.to.mkdir(parents=True, exist_ok=True)
    from scenarios import SCENES, play

    wanted = {name: (name, "light") for name in SCENES} if options.all else PICTURES
    texts: dict[str, str] = {}
    for name, (scene, look) in wanted.items():
        if options.only and name not in options.only:
            continue
        if scene not in texts:
            if options.markdown is not None:
                texts[scene] = (options.markdown / f"{scene}.md").read_text()
            else:
                with tempfile.TemporaryDirectory() as folder:
                    texts[scene] = play(scene, Path(folder))
        scale = 1 if options.all else 2
        did = "wants to merge" if scene in ("fix", "many") else ""
        say(draw(browser, texts[scene], options.to / f"{name}.png", look=look, did=did, scale=scale))
        if options.all:
            (options.to / f"{name}.md").write_text(texts[scene])
            for other, more in (("dark", False), ("light", True)):
                to = options.to / f"{name}-{'unfolded' if more else other}.png"
                draw(browser, texts[scene], to, look=other, unfolded=more, did=did)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
