"""Draws the most telling columns of the table: a bar for each peer, on a scale of powers of ten.

Run as `python -m benchmarks.chart OUTPUT.svg` in an environment with matplotlib, with the figures as
JSON on standard input: for each panel, pairs of a peer and its ratio, or null.
"""

import json
import sys
from typing import Any

PANELS = {
    "hit": "a hit",
    "method": "a hit of a method",
    "miss": "a miss that loads",
    "waiters": "10,000 waiters on one load",
}
OURS = "aiocachetools"
# Peers that let concurrent callers of one key load it again and again, and a yardstick.
LEFT_OUT = {"asyncache", "cachebox, bare", "moka-py, bare", "lru_cache"}

STRONG, WEAK, INK, FAINT = "#d9480f", "#adb5bd", "#343a40", "#868e96"

Figures = list[tuple[str, float | None]]


def shown(figures: Figures) -> list[tuple[str, float]]:
    """What is drawn of a panel, ours last and so on top, the others by speed."""
    known = [(peer, value) for peer, value in figures if value is not None and peer not in LEFT_OUT]
    return sorted(known, key=lambda figure: (figure[0] == OURS, -figure[1]))


def label(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 2 else f"{value:.2f}"


def draw_panel(axes: Any, title: str, figures: list[tuple[str, float]]) -> None:
    peers, values = zip(*figures, strict=True)
    lowest = min(0.4, min(values) / 2)
    bars = axes.barh(
        peers,
        [value - lowest for value in values],
        left=lowest,
        height=0.7,
        color=[STRONG if peer == OURS else WEAK for peer in peers],
    )
    axes.axvline(1, color=INK, linewidth=0.8, linestyle=(0, (3, 3)), zorder=0.5)
    texts = axes.bar_label(bars, labels=[label(value) for value in values], padding=4, fontsize=9, color=INK)
    for text in texts:
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})
    texts[-1].set_fontweight("bold")
    axes.get_yticklabels()[-1].set_fontweight("bold")
    axes.set_xscale("log")
    axes.set_xlim(lowest, max(values) ** 1.15 * 2)
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.tick_params(axis="y", length=0, labelsize=9, labelcolor=INK)
    axes.xaxis.set_visible(False)
    for side in axes.spines.values():
        side.set_visible(False)


def draw(panels: dict[str, Figures], output: str) -> None:
    from matplotlib import pyplot

    pyplot.rcParams |= {"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "aiocachetools"}
    drawn = {title: shown(panels[column]) for column, title in PANELS.items()}
    drawn = {title: figures for title, figures in drawn.items() if figures}
    figure, all_axes = pyplot.subplots(2, 2, figsize=(9.5, 6.2), layout="constrained")
    for axes in all_axes.flat[len(drawn) :]:
        axes.set_visible(False)
    for axes, (title, figures) in zip(all_axes.flat, drawn.items(), strict=False):
        draw_panel(axes, title, figures)
    figure.supxlabel(
        "times as long as plain asyncio without a cache, which is the dashed line (logarithmic; less is better)",
        fontsize=9,
        color=FAINT,
    )
    figure.savefig(output, metadata={"Date": None}, facecolor="white")


if __name__ == "__main__":
    draw(json.load(sys.stdin), sys.argv[1])
