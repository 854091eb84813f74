"""Formulas as MathML, which browsers draw themselves: no script and no font has to come from another site.

The conversion is docutils' own; what is changed here is how a word looks that is the name of an argument.
"""

import re

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

# TeX takes a word for a product of letters.  From three letters on it is a name here, in one upright piece.
WORD = re.compile(r"(?:<mi>[A-Za-z_]</mi>\s*){3,}")
# The spaces of \text{ if } would be trimmed.
TEXT = re.compile(r"<mtext>(.*?)</mtext>")


def mathml(node, as_block=False):
    text = tex2mathml(node.astext(), as_block=as_block)
    text = WORD.sub(lambda letters: "<mi>" + re.sub(r"<.*?>|\s", "", letters[0]) + "</mi>", text)
    return TEXT.sub(lambda words: words[0].replace(" ", "\N{NO-BREAK SPACE}"), text)


def visit_math(translator, node):
    translator.body.append(mathml(node))
    raise nodes.SkipNode


def visit_math_block(translator, node):
    translator.body.append(f'<div class="math">{mathml(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
