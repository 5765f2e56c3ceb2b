"""The shape of the code: medians, maxima and shares; printed by `make check`, which fails on none of these numbers."""

import ast
import io
import statistics
import tokenize
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PRODUCT = ("shared", "services", "cli")


@dataclass(frozen=True)
class Function:
    """A function's place and size."""

    where: str
    lines: int
    parameters: int
    nesting: int


def list_files(*folders: str) -> list[Path]:
    """Return the Python files of the folders."""
    return sorted(path for folder in folders for path in (PROJECT / folder).rglob("*.py"))


def _nesting(node: ast.AST, depth: int = 0) -> int:
    blocks = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try)
    deepest = depth
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and child in node.orelse
        deeper = depth + (isinstance(child, blocks) and not is_elif)
        deepest = max(deepest, _nesting(child, deeper))
    return deepest


def list_functions(paths: list[Path]) -> list[Function]:
    """Return every function with the lines of its body (docstring left out), its parameters and its nesting."""
    found = []
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1
            positional = [a for a in node.args.args if a.arg not in ("self", "cls")]
            where = f"{path.relative_to(PROJECT)}:{node.lineno} {node.name}"
            found.append(Function(where, lines, len(positional) + len(node.args.kwonlyargs), _nesting(node)))
    return found


def count_comment_lines(paths: list[Path]) -> int:
    """Return how many comments there are."""
    total = 0
    for path in paths:
        tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
        total += sum(token.type == tokenize.COMMENT for token in tokens)
    return total


def count_lines(paths: list[Path]) -> int:
    """Return the lines of the files."""
    return sum(len(path.read_text().splitlines()) for path in paths)


def main() -> None:
    """Print the shape."""
    product, tests = list_files(*PRODUCT), list_files("tests")
    functions = list_functions(product)
    sizes = sorted(function.lines for function in functions)
    files = sorted(len(path.read_text().splitlines()) for path in product)
    lines = count_lines(product)
    rows = {
        "product": f"{lines} lines in {len(product)} files; files: median {statistics.median(files):.0f}, largest {files[-1]}",
        "functions": f"{len(sizes)}; bodies: median {statistics.median(sizes):.0f}, "
        f"90 % within {sizes[int(len(sizes) * 0.9)]}, largest {sizes[-1]}",
        "tests": f"{count_lines(tests)} lines, {count_lines(tests) / lines:.2f} a product line",
        "comments": f"{count_comment_lines(product) / lines:.1%} of lines",
        "shared": f"{count_lines(list_files('shared')) / lines:.0%} of the product",
    }
    for name, text in rows.items():
        print(f"{name:<10} {text}")


if __name__ == "__main__":
    main()
