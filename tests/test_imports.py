"""The imports of the whole package, read from the sources: those under `if TYPE_CHECKING` count like all others."""

import grimp
import networkx


def test_no_imports_run_in_a_circle() -> None:
    """Module by module, a package's `__init__` and its own modules included, which the import-linter contract skips."""
    imports = grimp.build_graph("fedefm", exclude_type_checking_imports=False, cache_dir=None)
    arrows = networkx.DiGraph(
        (module, other) for module in imports.modules for other in imports.find_modules_directly_imported_by(module)
    )
    assert len(arrows) > 200
    assert [sorted(ring) for ring in networkx.strongly_connected_components(arrows) if len(ring) > 1] == []


def test_nobody_but_the_flare_package_imports_flare() -> None:
    """The contract names the parts that must not; this holds for a part that is new, too."""
    imports = grimp.build_graph(
        "fedefm", include_external_packages=True, exclude_type_checking_imports=False, cache_dir=None
    )
    importers = imports.find_modules_that_directly_import("nvflare")
    assert importers
    assert [module for module in sorted(importers) if not module.startswith("fedefm.flare.")] == []
