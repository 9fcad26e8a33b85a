"""A type's path and its children in, an answer as an imperfect LLM gives it out: deterministic, without a model.

Names are composed of words by hashes. Some answers repeat what is there, reword it, name an ancestor, use another
separator, invent a level, chat, say too much or nothing: at the rates in `FAULTS`.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence


def _words(told: str) -> tuple[str, ...]:
    return tuple(" ".join(one.split()) for one in told.split(","))


_HOW = _words("""
faded, torn, folded, crowded, mirrored, blurred, night-time, underwater, hand-drawn, printed, engraved,
embossed, stacked, scattered, nested, overlapping, half-hidden, distant, close-up, backlit, rain-soaked, dusty,
polished, broken, repaired, miniature, oversized, symmetrical, tilted, upside-down, transparent, striped, woven,
painted, neon, moving, frozen, burning, melting, labelled, numbered, colour-coded, monochrome, historic, modern,
improvised, festive, official, handwritten, digitised, framed, peeling, rusted, glowing, unfinished, cropped,
magnified, wrapped, sealed, open, empty, full
""")
_WHAT = _words("""
ticket stubs, road signs, shop windows, menu boards, postage stamps, bank notes, bus timetables, medicine boxes,
seed packets, chess boards, playing cards, jigsaw pieces, tree rings, leaf veins, bird nests, animal tracks,
snow crystals, cloud layers, river bends, rock strata, star trails, tide marks, crop rows, garden beds, fruit
stalls, bread loaves, spice jars, tea cups, cooking pots, cutlery sets, sewing kits, knitting patterns, carpet
motifs, pottery glazes, stained glass, wall murals, statue bases, bridge cables, roof tiles, door handles,
stairwells, lift buttons, control panels, dials, rulers, weighing scales, thermometers, test tubes, microscope
slides, x-ray films, bone joints, dental casts, circuit traces, solder joints, gear trains, pulleys, tool racks,
workbenches, screw heads, cable bundles, license plates, railway points, cockpits, sails, anchors, harbour
cranes, parcel stacks, warehouse shelves, queue lines, parade floats, team jerseys, score boards, start lines,
medal stands, stage lights, drum kits, violin scrolls, sheet music, film posters, comic panels, puppets, masks,
costumes, hair braids, hand signals, dance poses, yoga postures, handshakes, eye glances, crossed arms, family
portraits, school desks, blackboard sums, geometry sketches, number grids, bar graphs, pie slices, flow arrows,
map legends, floor outlines, seating plans, family trees, order forms, tax tables, pay slips, recipe cards,
diary pages, book spines, footnotes, newspaper columns, crossword grids, street graffiti, tattoos, bracelets,
watch faces, sundials, lanterns, candles, fireworks
""")
_WHERE = _words("""
at markets, in classrooms, on rooftops, beside canals, in museums, at airports, on ferries, in greenhouses, at
weddings, in laboratories, on mountain trails, in basements, at petrol stations, in libraries, on beaches, in
hospitals, at harvest, in tunnels, on balconies, at bus stops, in forests, under bridges, in kitchens, at dawn,
in heavy rain, on construction sites, in aquariums, at sports grounds, in archives, on desktops, in courtyards,
at crossings, in old photographs, on telephones, in cartoons, at rehearsals, on packaging, in satellite views,
behind glass, in reflections
""")

FAULTS: Mapping[str, int] = {
    "repeats": 60,
    "rewords": 40,
    "cycles": 15,
    "separators": 15,
    "levels": 15,
    "markup": 10,
}
"""Of 1,000 lines, those with each fault."""
FAULTY_ANSWERS: Mapping[str, int] = {"nothing missing": 20, "empty": 8, "chat": 8, "thousands": 2}
"""Of 1,000 answers."""
FEWEST, MOST = 8, 14
"""Lines of an answer."""


def children(path: Sequence[str], existing: Sequence[str], seed: int) -> str:
    """The answer for a type, a child a line; equal arguments give equal answers."""
    chance = _Chance("\0".join((str(seed), *path, "", *existing)))
    match _one_of(FAULTY_ANSWERS, chance.below(1_000)):
        case "nothing missing":
            return "NONE"
        case "empty":
            return "\n \n"
        case "chat":
            return "Sure! Here is what I would look at next:"
        case "thousands":
            return "\n".join(f"{chance.name()} {n}" for n in range(5_000))
    lines = list(_lines(path, existing, chance))
    return "\n".join(_listed(lines, chance.below(4)))


def _lines(path: Sequence[str], existing: Sequence[str], chance: "_Chance") -> Iterator[str]:
    there = list(existing)
    for _ in range(FEWEST + chance.below(MOST - FEWEST + 1)):
        name = chance.name()
        fault = _one_of(FAULTS, chance.below(1_000))
        if fault in {"repeats", "rewords"} and not there:
            fault = None
        match fault:
            case "repeats":
                yield chance.of(there).upper()
            case "rewords":
                words = chance.of(there).split()
                yield " ".join([*words[1:], "of", words[0]])
            case "cycles":
                yield chance.of(path)
            case "separators":
                yield " > ".join((path[-1], name))
            case "levels":
                yield "~".join(("Other things", name))
            case "markup":
                yield f"**{name}**"
            case _:
                there.append(name)
                yield name


def _listed(lines: Sequence[str], style: int) -> Iterator[str]:
    """Bare, with bullets, or numbered."""
    for n, line in enumerate(lines, 1):
        yield {0: f"- {line}", 1: f"{n}. {line}"}.get(style, line)


def _one_of(shares: Mapping[str, int], drawn: int) -> str | None:
    """What a number below 1,000 means."""
    for name, share in shares.items():
        if drawn < share:
            return name
        drawn -= share
    return None


class _Chance:
    """Numbers that look random and hang on a text alone."""

    def __init__(self, text: str) -> None:
        self._hash = hashlib.blake2b(text.encode("utf-8", "replace"))
        self._left = b""

    def below(self, n: int) -> int:
        if len(self._left) < 4:
            self._hash.update(b".")
            self._left = self._hash.digest()
        drawn, self._left = int.from_bytes(self._left[:4], "big"), self._left[4:]
        return drawn % n

    def of(self, names: Sequence[str]) -> str:
        return names[self.below(len(names))]

    def name(self) -> str:
        return f"{self.of(_HOW)} {self.of(_WHAT)} {self.of(_WHERE)}".capitalize()
