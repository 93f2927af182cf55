"""The examples of README.md and of docs/ run as they stand."""

import ast
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
FENCE = re.compile(r"^```python[ \t]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def examples():
    """Each block of Python with its page and line; blocks marked `notest` are left out."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8") if page.exists() else ""
        for block in FENCE.finditer(text):
            line = text.count("\n", 0, block.start(1))
            yield pytest.param(block[1], page, line, id=f"{page.stem}_line_{line + 1}")


@pytest.mark.parametrize(("source", "page", "line"), list(examples()))
def test_readme_example(source, page, line, run):
    """A block has a namespace of its own; it may await at its top level, or call asyncio.run itself."""
    tree = ast.increment_lineno(ast.parse(source), line)
    code = compile(tree, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    namespace = {"__name__": "readme_example"}
    if not code.co_flags & inspect.CO_COROUTINE:
        exec(code, namespace)
        return

    async def main():
        await eval(code, namespace)

    run(main())
