"""The house that docs/architecture.md draws: who may import whom, no circles, one class for one name."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "gateway"

# One row a floor, the highest first. A room (a folder, or a module that stands alone) imports from lower floors only.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("commands",),
    ("service",),
    ("web",),
    ("retrieve",),
    ("work", "receive", "commitment"),
    ("dimse",),
    ("seal", "spool", "queue", "ledger", "tls"),
    ("keys", "config", "observe", "images"),
    ("dicom", "runtime"),
    ("errors",),
)
# Rooms that see less than their floor allows, and all that they see.
NARROW = {
    "seal": {"keys", "dicom", "errors"},
    "ledger": {"keys", "runtime", "errors"},
    "keys": {"runtime", "errors"},
    "images": {"dicom", "errors"},
    "dicom": {"errors"},
    "runtime": {"errors"},
}
# Rooms of pure functions: no disk, clock, network, processes, logs.
PURE = ("seal", "dicom", "images")
NOT_IN_PURE = {
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
    """Dotted name -> file, of everything in the package."""
    named = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


MODULES = modules()


def imports(path: Path) -> set[str]:
    """Modules named by import statements, those for type checking included."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            named.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                named.add(whole if whole in MODULES else node.module)
    return named


IMPORTS = {module: imports(path) for module, path in MODULES.items()}


def room(module: str) -> str:
    """`gateway.seal.codec.plane` is in the room `seal`; the package itself, with the version, is in none."""
    return module.split(".")[1] if "." in module else ""


def floor(name: str) -> int:
    return next(number for number, names in enumerate(FLOORS) if name in names)


def between_rooms() -> list[tuple[str, str]]:
    return [
        (module, imported)
        for module, named in IMPORTS.items()
        for imported in named
        if imported.startswith("gateway.") and room(module) and room(imported) != room(module)
    ]


def test_every_room_is_on_one_floor_and_every_row_is_of_a_room() -> None:
    planned = [name for names in FLOORS for name in names]
    assert sorted(planned) == sorted({room(module) for module in MODULES} - {""})


def test_imports_point_down() -> None:
    wrong = [f"{a} imports {b}" for a, b in between_rooms() if floor(room(b)) <= floor(room(a))]
    assert wrong == []


@pytest.mark.parametrize("name", NARROW)
def test_a_narrow_room_sees_no_more_than_it_says(name: str) -> None:
    wrong = [
        f"{a} imports {b}" for a, b in between_rooms() if room(a) == name and room(b) not in NARROW[name]
    ]
    assert wrong == []


@pytest.mark.parametrize("name", PURE)
def test_a_pure_room_has_no_use_for_the_world(name: str) -> None:
    wrong = [
        f"{module} imports {imported}"
        for module, named in IMPORTS.items()
        if room(module) == name
        for imported in named
        if imported.split(".")[0] in NOT_IN_PURE
    ]
    assert wrong == []


def test_one_module_imports_the_runtime_that_would_tell_what_it_does() -> None:
    """gateway.seal.codec.onnx switches its telemetry off first; see there."""
    everywhere = [
        *PACKAGE.rglob("*.py"),
        *PACKAGE.with_name("export").rglob("*.py"),
        *PACKAGE.with_name("tests").rglob("*.py"),
    ]
    importing = [
        path for path in everywhere if any(name.split(".")[0] == "onnxruntime" for name in imports(path))
    ]
    assert importing == [PACKAGE / "seal" / "codec" / "onnx.py"]


def test_temporary_files_are_made_by_a_module_that_encrypts_them_and_for_the_sites_own_program() -> None:
    """What lies in a temporary file is a patient's image. Starlette's form makes such files by itself."""
    assert sorted(module for module in IMPORTS if "tempfile" in IMPORTS[module]) == [
        # For a program that needs a clear file: in memory, in a folder of its own.
        "gateway.commands.common.deidentifying",
        # The files of OHIF.
        "gateway.web.viewer.bundle",
        "gateway.work.handover",
    ]
    assert [module for module, path in MODULES.items() if ".form(" in path.read_text()] == []


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """The first way that leads back to where it began; empty when there is none."""
    done: set[str] = set()

    def walk(at: str, trail: list[str]) -> list[str]:
        if at in trail:
            return [*trail[trail.index(at) :], at]
        if at not in done:
            for following in sorted(arrows.get(at, set())):
                if way := walk(following, [*trail, at]):
                    return way
            done.add(at)
        return []

    return next((way for start in sorted(arrows) if (way := walk(start, []))), [])


def test_modules_do_not_import_in_a_circle() -> None:
    assert circle({module: IMPORTS[module] & MODULES.keys() - {module} for module in MODULES}) == []


def folder(module: str) -> str:
    """`gateway.seal.codec.v1.reading` is in `seal/codec`: what is deeper belongs to that folder."""
    return "/".join(MODULES[module].parent.relative_to(PACKAGE).parts[:2])


def test_folders_do_not_import_in_a_circle() -> None:
    """The `__init__` of a folder is its front door, and may import what is below it."""
    arrows: dict[str, set[str]] = defaultdict(set)
    for module, path in MODULES.items():
        if path.name != "__init__.py":
            arrows[folder(module)] |= {folder(name) for name in IMPORTS[module] & MODULES.keys()}
    assert circle({name: others - {name, ""} for name, others in arrows.items() if name}) == []


def test_no_class_name_stands_for_two_things() -> None:
    places = defaultdict(list)
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(module)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
