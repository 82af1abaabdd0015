"""Contracts of `lint-imports` beyond those that it brings.

`Interfaces`: a package is used through what its ``__init__`` names, never past it. Silently wrong without it would be
every later move: whoever reaches into another package's modules breaks when that package tidies up.

`NoCycles`: no module imports, through any chain, a module that imports it: at the top, lazily, or for types.
"""

from __future__ import annotations

import ast
from pathlib import Path

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from typing_extensions import override


class Interfaces(Contract):
    """An import that crosses the border of a package ends at the package, or at a module that it names in its stub.

    Packages are those directly below the root, and ``nested`` ones, which have an interface of their own.
    """

    nested = fields.SetField(subfield=fields.StringField(), required=False, default=set())

    @override
    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        root: str = self.session_options["root_packages"][0]
        nested = {str(name) for name in self.nested}  # type: ignore[attr-defined]
        public = {package: _modules(package) for package in graph.modules if graph.find_children(package)}
        past = []
        for importer in sorted(graph.modules):
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                home = _package(imported, root, nested)
                if home in (_package(importer, root, nested), None) or imported == home:
                    continue
                if importer.startswith(f"{home}."):  # a nested package uses its own package's modules
                    continue
                if imported not in public.get(str(home), ()):
                    line = graph.get_import_details(importer=importer, imported=imported)[0]["line_number"]
                    past.append(f"{importer}, line {line}: {imported} is not in the interface of {home}")
        return ContractCheck(kept=not past, metadata={"past": past})

    @override
    def render_broken_contract(self, check: ContractCheck) -> None:
        for line in check.metadata["past"]:
            output.print_error(line)


class NoCycles(Contract):
    """The graph of modules has no cycle."""

    @override
    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        reach = {m: graph.find_downstream_modules(m) & graph.find_upstream_modules(m) for m in graph.modules}
        cycles = sorted({", ".join(sorted(others | {module})) for module, others in reach.items() if others})
        return ContractCheck(kept=not cycles, metadata={"cycles": cycles})

    @override
    def render_broken_contract(self, check: ContractCheck) -> None:
        for cycle in check.metadata["cycles"]:
            output.print_error(f"a cycle: {cycle}")


def _package(module: str, root: str, nested: set[str]) -> str | None:
    """Return the package that a module belongs to; ``None`` for modules directly below the root."""
    for name in sorted(nested, key=len, reverse=True):
        if module == name or module.startswith(name + "."):
            return name
    parts = module.split(".")
    folder = Path(*parts[:2])
    return ".".join(parts[:2]) if len(parts) > 1 and parts[0] == root and folder.is_dir() else None


def _modules(package: str) -> set[str]:
    """Return the modules that a package's stub names as such (``from . import module``)."""
    stub = Path(*package.split(".")) / "__init__.pyi"
    if not stub.exists():
        return set()
    found = (n for n in ast.parse(stub.read_text()).body if isinstance(n, ast.ImportFrom) and n.module is None)
    return {f"{package}.{alias.name}" for node in found for alias in node.names}
