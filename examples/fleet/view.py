"""What is shown of the fleet."""

from rich.table import Table

from .fleet import Fleet

COLUMNS = {
    "requests": "requests",
    "memory": "from memory",
    "joined": "joined a load",
    "shared": "from Valkey",
    "waits": "waited for others",
    "loads": "loads",
    "unshared": "without Valkey",
    "errors": "errors",
}


def table(fleet: Fleet, title: str) -> Table:
    """The counts of every worker, and their sums."""
    shown = Table(title=title, title_justify="left", min_width=100)
    shown.add_column("", no_wrap=True)
    for heading in COLUMNS.values():
        shown.add_column(heading, justify="right")
    for member in fleet.members:
        name = member.name if member.alive else f"[strike]{member.name}[/]"
        shown.add_row(
            name, *(f"{member.counts[name]:,}" for name in COLUMNS), style="" if member.alive else "dim"
        )
    shown.add_section()
    shown.add_row("all", *(f"{fleet.total[name]:,}" for name in COLUMNS), style="bold")
    return shown


def sums(fleet: Fleet) -> str:
    """The same in a line, once there is something to count."""
    total = fleet.total
    return ", ".join(f"{total[name]:,} {heading}" for name, heading in COLUMNS.items()) if total else ""
