"""Hit-ratio curves, drawn with Matplotlib (the extra ``plot``)."""

from pathlib import Path
from typing import Any

from ._replay import OPTIMUM, Simulation


class PlotError(RuntimeError):
    """A plot that cannot be drawn."""


def check_plot(path: Path) -> None:
    """Make sure that a plot can be drawn to a file before the work is done for it.

    Raises:
        PlotError: Matplotlib is missing, or cannot write such a file.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
    except ImportError as error:
        raise PlotError("a plot needs Matplotlib: pip install 'aiocachetools[plot]'") from error
    kinds = FigureCanvasAgg.get_supported_filetypes()
    if path.suffix.lstrip(".") not in kinds:
        raise PlotError(
            f"a plot cannot be written to {path}: its name must end in one of {', '.join(sorted(kinds))}"
        )
    if not path.absolute().parent.is_dir():
        raise PlotError(f"a plot cannot be written to {path}: there is no such directory")


def curve_sizes(sizes: list[int], distinct: int, points: int = 16) -> list[int]:
    """The sizes, and others around and between them, evenly spaced on a logarithmic axis."""
    low, high = max(min(sizes) // 4, 1), max(min(max(sizes) * 4, distinct), max(sizes))
    step = (high / low) ** (1 / (points - 1))
    return sorted({*sizes, *(round(low * step**point) for point in range(points))})


def plot(simulation: Simulation, path: Path, title: str, marked: list[int]) -> None:
    """Draw the hit ratios over the sizes; ``marked`` sizes get a line each.

    Raises:
        OSError: The file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, PercentFormatter, StrMethodFormatter

    figure: Any = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    for policy, ratios in simulation.hit_ratios.items():
        if policy != OPTIMUM:
            axes.plot(simulation.sizes, ratios, label=policy, linewidth=1.8, marker="o", markersize=3)
    optimum = simulation.hit_ratios[OPTIMUM]
    axes.plot(simulation.sizes, optimum, label=OPTIMUM, color="0.25", linestyle="--", linewidth=1.5)
    axes.set_xscale("log")
    for size in marked:
        axes.axvline(size, color="0.8", linewidth=1, zorder=0)
    axes.set_xticks(marked)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color="0.92")
    axes.set_xlabel("size in entries")
    axes.set_ylabel("hit ratio")
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    best_first = sorted(
        zip(handles, labels, strict=True), key=lambda entry: -sum(simulation.hit_ratios[entry[1]])
    )
    figure.legend(*zip(*best_first, strict=True), loc="outside right center", frameon=False)
    figure.savefig(path, dpi=150)
