"""Elements of SVG as escaped markup, placed in percent: text keeps its size at every width of the page."""

from markupsafe import Markup

from ab_tests.report.reading import Tone


def element(name: str, *children: str, **attributes: object) -> Markup:
    """An element; `class_` and `stroke_width` become `class` and `stroke-width`, what is no markup is escaped."""
    pairs = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None)
    shown = Markup("").join(Markup(' {}="{}"').format(key, value) for key, value in pairs)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), shown, Markup("").join(children))


def drawing(*children: str, class_: str) -> Markup:
    """An SVG that readers of the screen skip: what it shows stands beside it in words."""
    return element("svg", *children, class_=class_, aria_hidden="true", focusable="false")


def at(percent: float) -> str:
    """A place in percent, to a hundredth."""
    return f"{percent:.2f}%"


def upright(x: float, class_: str) -> Markup:
    """A line from top to bottom."""
    return element("line", x1=at(x), x2=at(x), y1="0%", y2="100%", class_=class_)


def level(y: float, class_: str) -> Markup:
    """A line from left to right."""
    return element("line", x1="0%", x2="100%", y1=at(y), y2=at(y), class_=class_)


def marker(x: float, y: float, tone: Tone) -> Markup:
    """A tone has a shape of its own, so that colour says nothing alone: disc, diamond, ring."""
    shapes = {Tone.BETTER: "M-5,0A5,5 0 1 0 5,0A5,5 0 1 0 -5,0Z", Tone.WORSE: "M0,-6.5L6.5,0L0,6.5L-6.5,0Z"}
    ring = "M-4.5,0A4.5,4.5 0 1 0 4.5,0A4.5,4.5 0 1 0 -4.5,0Z"
    shape = element("path", d=shapes.get(tone, ring), class_=f"marker {tone_class(tone)}")
    return element("svg", shape, x=at(x), y=at(y), overflow="visible")


def arrow(x: float, y: float, *, left: bool, tone: Tone) -> Markup:
    """Where an interval goes on beyond the plot."""
    path = "M5,-5L-2,0L5,5" if left else "M-5,-5L2,0L-5,5"
    shape = element("path", d=path, class_=f"arrow {tone_class(tone)}")
    return element("svg", shape, x=at(x), y=at(y), overflow="visible")


def cap(x: float, y: float, tone: Tone, *, upright: bool) -> Markup:
    """The closed end of an interval."""
    shape = element("path", d="M0,-5V5" if upright else "M-5,0H5", class_=f"cap {tone_class(tone)}")
    return element("svg", shape, x=at(x), y=at(y), overflow="visible")


def tone_class(tone: Tone) -> str:
    return tone.value.replace(" ", "-")
