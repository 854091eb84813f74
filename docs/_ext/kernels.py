"""The directive `kernel-table`: every function of pyleaky.kernels with its arguments and, where it is a row of the
table in src/activations.h, its formula."""

import ast
import inspect
import re
from collections import defaultdict
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import pyleaky._core

SUFFIX = re.compile(r"_(f16|bf16|f32|f64)$")


def functions():
    """By name without suffix: (the argument names, the suffixes), from the stub."""
    stub = ast.parse((Path(inspect.getfile(pyleaky)).parent / "kernels.pyi").read_text())
    found = defaultdict(lambda: ("", []))
    for function in stub.body:
        if isinstance(function, ast.FunctionDef):
            name, suffix = SUFFIX.sub("", function.name), SUFFIX.search(function.name)[1]
            found[name] = (", ".join(argument.arg for argument in function.args.args), [*found[name][1], suffix])
    return found


class KernelTable(SphinxDirective):
    def run(self):
        table = nodes.table(classes=["kernels"])
        group = nodes.tgroup(cols=2)
        table += group
        group += [nodes.colspec(colwidth=50), nodes.colspec(colwidth=50)]
        head, body = nodes.thead(), nodes.tbody()
        group += [head, body]
        head += self.row(nodes.Text("function"), nodes.Text("formula"))
        for name, (arguments, suffixes) in functions().items():
            call = nodes.literal(text=f"{name}_{{{','.join(suffixes)}}}({arguments})")
            row = pyleaky._core.ROWS.get(name)
            body += self.row(call, nodes.literal(text=row.formula) if row else nodes.Text("src/fused.inc"))
        return [table]

    def row(self, *cells):
        return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def setup(app):
    app.add_directive("kernel-table", KernelTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
