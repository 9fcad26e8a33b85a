"""A releases root in; its releases, what the gate said of them and every move of the pointer as text out."""

from contracts.releases import Pin
from policy.casebook import read_precedents
from policy.evidence import read_taught
from policy.gate.results import read_gate_result
from policy.moves import read_history
from serving.releases import ReleasesRoot, open_casebook, open_release


def history_lines(root: ReleasesRoot) -> list[str]:
    """The releases of a root with their lineage and what the gate said, pruned casebooks, then the pointer's moves.

    Each oldest first.
    """
    lines = []
    homes = (home for home in root.path.glob("releases/*") if home.name.isdigit())
    for home in sorted(homes, key=lambda home: int(home.name)):
        release = open_release(home, verify=False).release
        gate = read_gate_result(root, release.version)
        said = "not gated" if gate is None else "passed the gate" if gate.passed else f"refused: {gate.refusals[0]}"
        parent = "the first" if release.parent is None else f"after {release.parent}"
        lines.append(f"release {release.version}  {parent}, {release.created_at:%Y-%m-%d %H:%M}, {said}")
    for version, gone in sorted(root.pruned().items()):
        by = "" if gone.pruned_by is None else f", by {gone.pruned_by}"
        lines.append(f"casebook {version}  pruned {gone.pruned_at:%Y-%m-%d %H:%M}{by}")
    for move in read_history(root):
        came = "" if move.live_before is None else f", before it release {move.live_before.release_version} was live"
        pin = f"release {move.pin.release_version} casebook {move.pin.casebook_version}"
        by = "" if move.moved_by is None else f", by {move.moved_by}"
        why = f": {move.reason}" if move.reason else ""
        lines.append(f"{move.moved_at:%Y-%m-%d %H:%M:%S}  {move.move} {pin} as {move.seat}{came}{by}{why}")
    return lines


def not_cited_any_more(root: ReleasesRoot, left: Pin, live: Pin) -> tuple[str, ...]:
    """Cases whose precedents spoke under the pin `left`, were not taught to `live` and do not speak under it."""
    lessons = root.open(live.release_version, verify=False).taught
    taught = read_taught(lessons) if lessons.is_file() else frozenset()
    spoke, speaks = _cited(root, left), frozenset(_cited(root, live))
    return tuple(case_id for case_id in spoke if case_id not in taught and case_id not in speaks)


def _cited(root: ReleasesRoot, pin: Pin) -> tuple[str, ...]:
    """Ids of the cases that speak under a pin: the release's own but those that fell, and the news."""
    folder = root.open(pin.release_version, verify=False)
    own = tuple(item.case.case_id for item in read_precedents(folder.precedents))
    if pin == folder.pin:
        return own
    published = open_casebook(root.casebook_path(pin.casebook_version), pin)
    fell = frozenset(published.fell)
    return (*(case_id for case_id in own if case_id not in fell), *published.news)
