"""Imports point downward only: shells -> service parts -> pure core; and nothing imports in a circle."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "gateway"

# Highest first. A module may import from its own layer and from those below.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("gateway.cli",),
    ("gateway.commands", "gateway.demo"),
    ("gateway.service",),
    (
        "gateway.web",
        "gateway.judging",
        "gateway.delivering",
        "gateway.bypass",
        "gateway.preparing",
        "gateway.receive",
        "gateway.commitment",
    ),
    ("gateway.commitment_user",),
    ("gateway.workshop",),
    ("gateway.worker", "gateway.forward", "gateway.reconcile", "gateway.backup", "gateway.failover"),
    ("gateway.listener",),
    ("gateway.incoming",),
    ("gateway.access", "gateway.certificates", "gateway.connections"),
    ("gateway.upper_layer", "gateway.negotiation", "gateway.memory"),
    ("gateway.observe",),
    ("gateway.quarantine",),
    (
        "gateway.queue",
        "gateway.spool",
        "gateway.pseudonym",
        "gateway.audit",
        "gateway.bell",
        "gateway.backoff",
        "gateway.pacing",
        "gateway.statuses",
    ),
    ("gateway.keyring",),
    ("gateway.config", "gateway.fileformat", "gateway.mark", "gateway.study"),
    ("gateway.web.settings",),
    ("gateway.users",),
    ("gateway.tls",),
    ("gateway.nodes",),
    ("gateway.tables", "gateway.schedule", "gateway.ciphered"),
    ("gateway.verify", "gateway.restore"),
    ("gateway.seal",),
    ("gateway.keys",),
    ("gateway.errors",),
    ("gateway",),
)
CORE = ("gateway.seal", "gateway.verify", "gateway.restore")
# What a pure core has no use for: disk, clock, network, processes, logs, configuration.
NOT_IN_CORE = {
    "socket",
    "threading",
    "multiprocessing",
    "logging",
    "structlog",
    "pynetdicom",
    "sqlite3",
    "subprocess",
}


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, names: set[str]) -> set[str]:
    """Modules named by import statements, those for type checking included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in names else node.module)
    return found


def layer(module: str) -> int:
    """The most specific prefix decides."""
    matches = [
        (len(prefix), number)
        for number, prefixes in enumerate(LAYERS)
        for prefix in prefixes
        if module == prefix or module.startswith(prefix + ".")
    ]
    return max(matches)[1]


def test_every_module_has_a_layer_of_its_own_choice() -> None:
    bottom = len(LAYERS) - 1
    unplaced = [module for module in modules() if module != "gateway" and layer(module) == bottom]
    assert unplaced == [], "say in LAYERS where these belong"


def test_imports_point_down() -> None:
    everything = modules()
    upward = [
        f"{module} imports {imported}"
        for module, path in everything.items()
        for imported in imports(path, set(everything))
        if imported.startswith("gateway.") and layer(imported) < layer(module)
    ]
    assert upward == []


def test_the_core_is_pure() -> None:
    everything = modules()
    impure = [
        f"{module} imports {imported}"
        for module, path in everything.items()
        if module.startswith(CORE)
        for imported in imports(path, set(everything))
        if imported.split(".")[0] in NOT_IN_CORE
    ]
    assert impure == []


def test_no_imports_in_a_circle() -> None:
    everything = modules()
    graph = {
        module: {name for name in imports(path, set(everything)) if name in everything and name != module}
        for module, path in everything.items()
    }
    done: set[str] = set()

    def walk(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail, module])
        if module not in done:
            for imported in sorted(graph[module]):
                walk(imported, (*trail, module))
            done.add(module)

    for module in sorted(graph):
        walk(module, ())
