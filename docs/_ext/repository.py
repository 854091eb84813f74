"""Links from the pages to files of the repository that are no pages, and the benchmarks' tables as pages.

The pages are read on the site and in the repository alike, so they link to ../bench/results/x.md as it lies there.
Here that becomes a page of the site; any other file outside of docs/ becomes a link to `repository` of conf.py, or,
where that is None, a download, which MyST makes by itself.
"""

import re
from pathlib import Path

# What a link or an image leads to: [text](target) or [text](target#anchor), but not an address.
TARGET = re.compile(r"(?<=\]\()(?!\w+:|#|/)([^)\s#]+)")
LIST = re.compile(r"\A# (.* · .*)")
RESULTS = "bench/results"


def write_results(app):
    """Copy the tables that bench/ has written to docs/results, so that they are pages."""
    source, folder = Path(app.srcdir).parent / RESULTS, Path(app.srcdir) / "results"
    folder.mkdir(exist_ok=True)
    # Where the heading is the list of all libraries that took part, the file's name is a better one.
    tables = {path.name: LIST.sub(rf"# {path.stem}\n\n\1", path.read_text()) for path in source.glob("*.md")}
    for old in folder.glob("*.md"):
        if old.name not in tables:
            old.unlink()
    for name, text in tables.items():
        page = folder / name
        if not page.exists() or page.read_text() != text:
            page.write_text(text)


def lead_here(app, docname, content):
    """In a page of Markdown, let links that leave docs/ lead to the site's page or to the repository."""
    page = Path(app.env.doc2path(docname))
    if page.suffix != ".md":
        return
    docs = Path(app.srcdir)

    def replaced(match):
        target = (page.parent / match[1]).resolve()
        if target.is_relative_to(docs) or not target.is_relative_to(docs.parent):
            return match[1]
        path = target.relative_to(docs.parent)
        if path.parent == Path(RESULTS) and path.suffix == ".md":
            return f"/results/{path.name}"
        if path.suffix == ".png" or app.config.repository is None:
            return match[1]
        return f"{app.config.repository}/{path}"

    content[0] = TARGET.sub(replaced, content[0])


def setup(app):
    app.add_config_value("repository", None, "env")
    app.connect("builder-inited", write_results)
    app.connect("source-read", lead_here)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
