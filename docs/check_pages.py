"""Look at every page of the built site in a browser: `make docs-pages`.

No page may be wider than the window (a table or a code block scrolls in its own box), no link inside the site may lead
to a page or an anchor that is not there, and nothing may be asked of another host.  Needs Playwright and a Chromium,
which PYLEAKY_CHROMIUM names where it is not Playwright's own; --shots DIR also keeps pictures of the pages.
"""

import argparse
import functools
import http.server
import os
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin

from playwright.sync_api import sync_playwright

WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
LINKS = "[...document.querySelectorAll('a[href], img[src]')].map(e => e.href || e.src)"
ANCHORS = "[...document.querySelectorAll('[id]')].map(e => e.id)"
# What reaches over the edge without a box around it that scrolls: it would be cut off.
CUT_OFF = """[...document.querySelectorAll('.bd-content *')].filter(element => {
    if (getComputedStyle(element).textOverflow === 'ellipsis') return false;
    const place = element.getBoundingClientRect();
    if (Math.max(place.right, place.left + element.scrollWidth) <= window.innerWidth + 1) return false;
    for (let box = element; box; box = box.parentElement)
        if (['auto', 'scroll'].includes(getComputedStyle(box).overflowX) && box.clientWidth < window.innerWidth
            && box.getBoundingClientRect().right <= window.innerWidth + 1) return false;
    return true;
}).slice(-3).map(element => element.tagName + ' ' + element.textContent.slice(0, 40))"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("site", type=Path)
    parser.add_argument("--shots", type=Path, help="a directory for pictures, light and dark, at both widths")
    parser.add_argument("--only", default="", help="pages whose path contains this")
    options = parser.parse_args()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=options.site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}/"
    pages = sorted(path.relative_to(options.site).as_posix() for path in options.site.rglob("*.html"))
    faults, requested, anchors, links = [], set(), {}, {}

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("PYLEAKY_CHROMIUM"), args=["--no-sandbox"])
        for kind, (width, height) in WIDTHS.items():
            for mode in ("light", "dark") if options.shots else ("light",):
                page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=mode)
                page.on("request", lambda request: requested.add(request.url))
                page.on("pageerror", lambda error: faults.append(f"a script failed: {error}"))
                for name in pages:
                    if options.only not in name:
                        continue
                    page.goto(root + name)
                    wide = page.evaluate("document.documentElement.scrollWidth")
                    if wide > width:
                        faults.append(f"{name} is {wide} wide at {width}")
                    if cut := page.evaluate(CUT_OFF):
                        faults.append(f"{name} is cut off at {width}: {cut}")
                    anchors[name] = set(page.evaluate(ANCHORS))
                    links[name] = page.evaluate(LINKS)
                    if options.shots:
                        options.shots.mkdir(parents=True, exist_ok=True)
                        shot = options.shots / f"{name.replace('/', '_')}-{kind}-{mode}.png"
                        page.screenshot(path=shot, full_page=True)
                page.close()
        browser.close()

    faults += [f"{url} was asked for" for url in sorted(requested) if not url.startswith((root, "data:"))]
    for name, targets in links.items():
        for target in targets:
            address, anchor = urldefrag(urljoin(root + name, target))
            if not address.startswith(root):
                continue
            path = unquote(address.removeprefix(root)) or "index.html"
            if not (options.site / path).is_file():
                faults.append(f"{name} links to {path}, which is not there")
            elif anchor and path in anchors and unquote(anchor) not in anchors[path]:
                faults.append(f"{name} links to {path}#{anchor}, which is not there")

    print(f"{len(pages)} pages, {sum(map(len, links.values()))} links and pictures")
    sys.exit("\n".join(faults) or 0)


if __name__ == "__main__":
    main()
