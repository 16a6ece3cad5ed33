"""Names for classes and files: what a scenario can name, open to code outside the package.

A class joins by one call, in a module of your own:

    @mos_agents.register("demand", "patient")
    @dataclass(frozen=True)
    class Patient(Demand):
        ...

The module is known once it is imported: in Python by `import`, on the command line by
`--import MODULE`, in a scenario file by `import: MODULE`, and by itself where it is the entry point
`mos_agents.plugins` of an installed package. A scenario file alone imports nothing: the user must
have named the module, or must have installed it as a plugin.
"""

from mos_agents.registry.kinds import (
    KINDS,
    Entry,
    Kind,
    adopt,
    enter,
    entries,
    entry,
    of_this_script,
    table,
    version,
)
from mos_agents.registry.modules import (
    GROUP,
    did_you_mean,
    find,
    is_granted,
    load,
    load_plugins,
    names,
    require,
    unknown,
)
from mos_agents.registry.provenance import (
    home,
    not_installed,
    versions,
)
from mos_agents.registry.registering import (
    named,
    register,
)

__all__ = [
    "Entry",
    "GROUP",
    "KINDS",
    "Kind",
    "adopt",
    "did_you_mean",
    "enter",
    "entries",
    "entry",
    "find",
    "home",
    "is_granted",
    "load",
    "load_plugins",
    "named",
    "names",
    "not_installed",
    "of_this_script",
    "register",
    "require",
    "table",
    "unknown",
    "version",
    "versions",
]
