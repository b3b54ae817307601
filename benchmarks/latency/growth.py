"""The job `growth` of the latency benchmark: how the time of a call grows with its tokens, members and texts.

Beside what is measured stands what one core could do at best (`roofline.py`). The chart goes beside the results, as PNG
and SVG.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.latency.roofline import Roofline
from benchmarks.latency.specs import PACKAGES, RESULTS, TOKENIZER, Setup, Spec
from benchmarks.runner import Subject, rotated, save_results

CHART = RESULTS.with_name("growth")

_ROUNDS = 3
_SECONDS = 0.4
"""What one subject may take for one point in one round."""

_LENGTHS, _MEMBERS, _BATCHES = (16, 32, 64, 128, 256, 512), (1, 2, 4, 8, 16), (1, 4, 16, 64, 256)
_TOKENS = 40
"""Of a text where length is not what grows: about what a sentence of FewRel has."""

_VARIANTS = 20
_AXES = {
    "tokens": "tokens of a text",
    "members": f"members, {_TOKENS} tokens",
    "texts": f"texts, {_TOKENS} tokens each",
}

INT8, FLOAT32, SMALL = "tinylm BERT-1, int8", "tinylm BERT-1, float32", "tinylm w256, int8"
RUNTIME, USUAL, TOKENS = "ONNX Runtime BERT-6, int8", "transformers BERT-6", TOKENIZER.name
_COLOURS = {
    INT8: "#1f5fbf",
    FLOAT32: "#cf6a1e",
    SMALL: "#2e9469",
    RUNTIME: "#b95aa8",
    USUAL: "#6f6f6f",
    TOKENS: "#a89020",
}


@dataclass(frozen=True)
class _Point:
    """A median: what grows, the subject, how far it had grown, milliseconds, and whether that is the roofline."""

    axis: str
    name: str
    x: int
    milliseconds: float
    roofline: bool = False


def growth(setup: Setup) -> None:
    """Measure, print, draw."""
    roofline = Roofline.measure()
    print(
        "one core: "
        + ", ".join(f"{rate / 1e9:.0f} billion {name} multiply-adds/s" for name, rate in roofline.peak.items())
    )
    print(", ".join(f"{size / 1e6:g} MB read at {rate / 1e9:.0f} GB/s" for size, rate in roofline.bandwidth.items()))
    setup.prepare((), "texts/ag_news", "vocabulary/bert")
    texts = _Texts(setup)
    points = [*_lengths(setup, texts, roofline), *_members(setup, texts, roofline), *_batches(setup, texts, roofline)]
    _show(points)
    save_results(
        RESULTS, "growth", {"roofline": asdict(roofline), "points": [asdict(point) for point in points]}, PACKAGES
    )
    _draw(points)


class _Texts:
    """Texts of any length: words of AG News up to the token at which they are cut."""

    def __init__(self, setup: Setup) -> None:
        import tokenizers  # noqa: PLC0415

        words = " ".join(setup.task("ag_news")["measured"])
        tokenizer = tokenizers.Tokenizer.from_file(str(setup.work / "vocabulary" / "bert" / "tokenizer.json"))
        ends = [end for _, end in tokenizer.encode(words[:400_000], add_special_tokens=False).offsets]
        self._words, self._ends = words, ends

    def of(self, tokens: int, count: int = _VARIANTS) -> list[str]:
        """As many texts, [CLS] and [SEP] among their tokens; a piece of a word at a cut may count as two."""
        own = tokens - 2
        starts = (start * own % (len(self._ends) - own - 1) for start in range(count))
        return [self._words[self._ends[start] : self._ends[start + own]] for start in starts]


def _lengths(setup: Setup, texts: _Texts, roofline: Roofline) -> list[_Point]:
    specs = [
        Spec(INT8, "tinylm", "artefacts/bert-1x1@512-int8"),
        Spec(FLOAT32, "tinylm", "artefacts/bert-1x1@512-float32"),
        Spec(RUNTIME, "onnxruntime", "onnx/bert-6@512-int8"),
        Spec(USUAL, "transformers", "checkpoints/bert-6-0@512"),
        TOKENIZER,
    ]
    points = _grow(setup, specs, "tokens", {length: texts.of(length) for length in _LENGTHS})
    rooflines = itertools.product(((INT8, "int8"), (FLOAT32, "float32")), _LENGTHS)
    return points + [
        _Point("tokens", name, x, 1000 * roofline.seconds(precision, width=768, tokens=x), roofline=True)
        for (name, precision), x in rooflines
    ]


def _members(setup: Setup, texts: _Texts, roofline: Roofline) -> list[_Point]:
    """A process for each size; the two BERT-6 stand for what a committee costs at most."""
    ours = ((INT8, "bert-1", "int8", 768), (FLOAT32, "bert-1", "float32", 768), (SMALL, "bert-1-w256", "int8", 256))
    points = []
    for count in _MEMBERS:
        specs = [Spec(name, "tinylm", f"artefacts/{shape}x{count}-{kind}") for name, shape, kind, _ in ours]
        points += _grow(setup, specs, "members", {count: texts.of(_TOKENS)})
        for name, _, kind, width in ours:
            seconds = roofline.seconds(kind, width=width, tokens=_TOKENS, members=count)
            points.append(_Point("members", name, count, 1000 * seconds, roofline=True))
    references = _grow(setup, _baselines(), "members", {1: texts.of(_TOKENS)})
    return points + [_Point("members", p.name, x, p.milliseconds) for p in references for x in (1, _MEMBERS[-1])]


def _batches(setup: Setup, texts: _Texts, roofline: Roofline) -> list[_Point]:
    specs = [
        Spec(INT8, "tinylm", "artefacts/bert-1x1-int8"),
        Spec(FLOAT32, "tinylm", "artefacts/bert-1x1-float32"),
        *_baselines(),
        TOKENIZER,
    ]
    points = _grow(setup, specs, "texts", {count: texts.of(_TOKENS, count) for count in _BATCHES}, together=True)
    rooflines = itertools.product(((INT8, "int8"), (FLOAT32, "float32")), _BATCHES)
    return points + [
        _Point("texts", name, x, 1000 * roofline.seconds(precision, width=768, tokens=_TOKENS, batch=x), roofline=True)
        for (name, precision), x in rooflines
    ]


def _baselines() -> list[Spec]:
    return [
        Spec(RUNTIME, "onnxruntime", "onnx/bert-6-int8"),
        Spec(USUAL, "transformers", "checkpoints/bert-6-0@128"),
    ]


def _grow(
    setup: Setup, specs: Sequence[Spec], axis: str, steps: dict[int, list[str]], *, together: bool = False
) -> list[_Point]:
    """Rounds over all subjects at each step: every text by itself, or all `together` in one call."""
    chosen = [spec for spec in specs if setup.wants(spec)]
    points = []
    with setup.running(setup.prepare(chosen)) as subjects:
        for x, texts in steps.items():
            seconds: dict[str, list[float]] = {subject.name: [] for subject in subjects}
            for number in range(_ROUNDS):
                for subject in rotated(subjects, number):
                    own = seconds[subject.name]
                    # A point that is far beyond its time is measured once.
                    if not own or median(own) < 5 * _SECONDS:
                        own += _measure(subject, texts, together=together)
            points += [_Point(axis, name, x, 1000 * median(own)) for name, own in seconds.items()]
    return points


def _measure(subject: Subject, texts: list[str], *, together: bool) -> list[float]:
    """Seconds of as many calls as there is time for, five at least; of one call for many texts that take long."""
    if together:
        first: float = subject.request("all", texts=texts, warmup=texts[:1]).value
        more = min(_VARIANTS, int(_SECONDS / first))
        return [first, *(subject.request("all", texts=texts, warmup=texts[:1]).value for _ in range(more))]
    (second,) = subject.request("each", texts=texts[:1], warmup=texts[:1]).value
    count = max(5, min(len(texts), math.ceil(_SECONDS / second)))
    times: list[float] = subject.request("each", texts=texts[:count], warmup=texts[:1]).value
    return times


def _show(points: Sequence[_Point]) -> None:
    for axis, title in _AXES.items():
        own = [point for point in points if point.axis == axis]
        steps = sorted({point.x for point in own})
        print(f"\n**Milliseconds of a call by {title}**\n")
        print("| | " + " | ".join(map(str, steps)) + " |")
        print("|---|" + "--:|" * len(steps))
        for name, roofline in dict.fromkeys((point.name, point.roofline) for point in own):
            values = {point.x: point.milliseconds for point in own if (point.name, point.roofline) == (name, roofline)}
            cells = " | ".join(f"{values[x]:.3g}" if x in values else "" for x in steps)
            print(f"| {name}{', at best' if roofline else ''} | {cells} |")
    print(flush=True)


def _draw(points: Sequence[_Point]) -> None:
    """Three panels beside each other, both axes logarithmic, times on one ruler."""
    try:
        import altair as alt  # noqa: PLC0415
        import vl_convert  # noqa: PLC0415
    except ImportError as error:
        print(f"no chart: {error}; pip install 'tinylm[study]'", flush=True)
        return
    low, high = min(p.milliseconds for p in points), max(p.milliseconds for p in points)
    drawn = list(dict.fromkeys(point.name for point in points))
    colour = alt.Color(
        "name:N",
        title=None,
        scale=alt.Scale(domain=drawn, range=[_COLOURS[name] for name in drawn]),
        legend=alt.Legend(
            orient="bottom", columns=len(drawn), symbolType="stroke", symbolStrokeWidth=3, labelLimit=300
        ),
    )
    dashes = alt.StrokeDash(
        "kind:N",
        title=None,
        scale=alt.Scale(domain=["measured", "at best on this core"], range=[[1, 0], [3, 3]]),
        legend=alt.Legend(orient="bottom", columns=2, symbolType="stroke", symbolStrokeWidth=2, labelLimit=300),
    )
    panels: list[Any] = []
    for axis, title in _AXES.items():
        own = [point for point in points if point.axis == axis]
        steps = sorted({point.x for point in own})
        values = [
            {
                "name": p.name,
                "x": p.x,
                "y": p.milliseconds,
                "kind": "at best on this core" if p.roofline else "measured",
            }
            for p in own
        ]
        x = alt.X("x:Q", title=title, axis=alt.Axis(values=steps, grid=False), scale=alt.Scale(type="log", nice=False))
        y = alt.Y(
            "y:Q",
            title="milliseconds of a call" if not panels else None,
            scale=alt.Scale(type="log", domain=[low / 1.3, high * 1.3], nice=False),
            axis=alt.Axis(values=_ticks(low / 1.3, high * 1.3), format=",~g"),
        )
        base = alt.Chart(alt.InlineData(values=values)).encode(x=x, y=y, color=colour)
        lines = base.mark_line(strokeWidth=2).encode(strokeDash=dashes)
        dots = base.transform_filter("datum.kind == 'measured'").mark_point(size=30, filled=True, opacity=1)
        panels.append((lines + dots).properties(width=250, height=300))
    chart = (
        alt.hconcat(*panels, spacing=24, background="white", padding=12)
        .configure_view(stroke=None)
        .configure_axis(labelFontSize=12, titleFontSize=13, titleFontWeight="normal", gridOpacity=0.4)
        .configure_legend(labelFontSize=12)
    )
    specification = chart.to_dict()
    CHART.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{CHART}.png").write_bytes(vl_convert.vegalite_to_png(specification, scale=2))
    Path(f"{CHART}.svg").write_text(vl_convert.vegalite_to_svg(specification), encoding="utf-8")
    print(f"{CHART}.png, {CHART}.svg", flush=True)


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of every power of ten within."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = (digit * 10.0**power for power in powers for digit in (1, 2, 5))
    return [tick for tick in ticks if low <= tick <= high]
