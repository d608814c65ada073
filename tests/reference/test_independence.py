import ast
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
ITS_OWN = ("hours", "history", "today", "polls", "close", "lists", "model", "raw_day", "raw_polls", "recorded")


@pytest.mark.parametrize("name", ITS_OWN)
def test_the_reference_imports_nothing_of_the_product(name):
    nodes = list(ast.walk(ast.parse((FOLDER / f"{name}.py").read_text())))
    modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert not {module for module in modules if module.split(".")[0] == "tradeul"}
    assert {module for module in modules if module.split(".")[0] == "tests"} <= {f"tests.reference.{other}" for other in ITS_OWN}
