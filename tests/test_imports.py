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
