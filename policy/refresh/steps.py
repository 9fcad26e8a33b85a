"""The six steps of a refresh over its folder; each may be called alone, and again.

collect   docket + parent -> RUN/fresh, and where the older cases lie
mine      -> which cases, what the deployed policy got wrong, the traffic's share of violative videos
build     -> ROOT/datasets/<digest>, which no golden case is in
train     -> RUN/candidate
gate      -> RUN/gate.json, and beside the releases
promote   -> a seat in ROOT; not without a passed gate
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from contracts.cases import DecidedCase
from contracts.errors import BadInputError, CheckFailedError
from contracts.releases import GateResult
from policy.benchmark.kuaimod import refuse_taught
from policy.casebook import Evidence, precedent_ids, read_precedents
from policy.docket.opinions import Votes
from policy.evidence import read_cases, read_taught_categories
from policy.fusion import read_weights
from policy.gate.command import gate_files
from policy.gate.gate import pass_gate
from policy.gate.results import write_gate_result
from policy.lineage import Lineage, write_release
from policy.publication.held import next_version
from policy.publication.precedents import Rulings, overruled, select
from policy.refresh.mining import Asked, choose_mixture, most_telling, share_of_traffic
from policy.refresh.refit import SHARE, RefreshSettings, train_from, train_settings, violative_share
from policy.refresh.run import Built, Collected, Mined, Promoted, RefreshRun, Trained, clear
from policy.refresh.snapshots import REFERENCE, Snapshot, open_snapshot, read_snapshot, reference_to, write_snapshot
from policy.releases import promote as promote_release
from policy.train import Inheritance, Tick
from serving.in_process import StudentEmbedder
from serving.releases import MANIFEST, WEIGHTS, ReleaseFolder, ReleasesRoot, digest_of, open_release

AN_AUTHOR_AT_MOST = 200
"""Newly ruled cases of one author that are learned from: nobody teaches the policy alone."""


class NothingRuledError(BadInputError):
    """Nothing was ruled since the parent was taught: a quiet day, not a fault."""


def collect(run: RefreshRun, docket: Rulings) -> Collected:
    """Take the rulings in force that the parent was not taught, with their frozen frames, as they stand now.

    Raises `NothingRuledError` where nothing was ruled since, `BadInputError` where the parent is damaged.
    """

    def make() -> Collected:
        parent = open_release(Path(run.plan.parent))
        decided = docket.decided()
        chosen = select(decided, read_taught_categories(parent.taught), an_author_at_most=AN_AUTHOR_AT_MOST)
        if not chosen.precedents:
            raise NothingRuledError(
                f"{run.plan.docket}: 0 new rulings since release {parent.release.version}, a refresh needs at least one"
            )
        by_case = {one.ruling.case_id: one for one in decided}
        votes = Votes(Path(run.plan.docket))
        fresh = [
            Evidence(
                one.case.model_copy(update={"votes": votes.of(by_case[one.case.case_id].ruling)}),
                None if one.frames_digest is None else docket.frames(one.frames_digest),
            )
            for one in chosen.precedents
        ]
        clear(run.fresh)
        home, snapshot = write_snapshot(fresh, run.fresh)
        found, old = _old_of(run, parent)
        cases = [item.case for item in found]
        erased = docket.erased()
        fell = {cases[row].case_id for row in overruled(decided, cases)}
        line = parent.release.thresholds.toxicity
        return Collected(
            version=next_version(ReleasesRoot(Path(run.plan.releases))),
            parent_version=parent.release.version,
            parent=digest_of(parent.path / MANIFEST),
            sequence=max(one.sequence for one in decided),
            fresh=str(home),
            snapshot=snapshot.digest,
            asked=tuple(Asked.of(by_case[item.case.case_id], line=line) for item in fresh),
            left_out=tuple(one.case_id for one in chosen.left_out),
            old=old,
            fell=tuple(sorted(fell | (erased & {case.case_id for case in cases}))),
        )

    return run.once("collect", Collected, make, there=lambda found: (Path(found.fresh) / "snapshot.json").is_file())


def mine(run: RefreshRun) -> Mined:
    """Choose what to learn from: what the parent got wrong, what it doubted, and a replay of what taught it."""

    def make() -> Mined:
        collected = run.found("collect", Collected)
        parent = _parent(run, collected)
        old, new = _both(run, collected, parent)
        share = parent.release.metrics.get(SHARE, violative_share(old or new))
        return Mined(
            chosen=tuple(
                choose_mixture(
                    old,
                    new,
                    at_most=run.plan.cases_at_most,
                    seed=run.plan.seed,
                    first=most_telling(collected.asked),
                )
            ),
            wrong=sum(one.wrong for one in collected.asked),
            violative_share=share_of_traffic(collected.asked, share),
        )

    return run.once("mine", Mined, make, there=lambda _: True)


def build(run: RefreshRun) -> Built:
    """Write the data snapshot; raises `BadInputError` where a golden case is in it."""

    def make() -> Built:
        collected, mined = run.found("collect", Collected), run.found("mine", Mined)
        both = _both(run, collected, _parent(run, collected))
        evidence = [both[side][row] for side, row in mined.chosen]
        ids = {item.case.case_id for item in evidence} | {item.case.upload.video_id for item in evidence}
        refuse_taught(_golden_cases(run), frozenset(ids), name=f"the refresh {run.home}")
        home, snapshot = write_snapshot(evidence, Path(run.plan.releases) / "datasets")
        share = mined.violative_share
        return Built(dataset=str(home), digest=snapshot.digest, n_cases=len(evidence), violative_share=share)

    return run.once("build", Built, make, there=lambda found: (Path(found.dataset) / "snapshot.json").is_file())


def train(run: RefreshRun, *, now: datetime, tick: Tick = lambda _: None) -> Trained:
    """Train the candidate from the parent's weights; raises `CheckFailedError` when it diverges: nothing is left."""

    def make() -> Trained:
        collected, built = run.found("collect", Collected), run.found("build", Built)
        parent = _parent(run, collected)
        evidence = read_snapshot(Path(built.dataset))
        weights = parent.path / WEIGHTS
        start = read_weights(weights) if WEIGHTS in parent.release.digests else None
        tick(f"{len(evidence)} cases, from {'the weights of ' + str(weights) if start else 'the beginning'}")
        plan = run.plan
        refresh = RefreshSettings(plan.cases_at_most, plan.epochs, plan.learning_rate)
        fused = True if start else None
        inherited = Inheritance(
            start,
            lambda inputs: StudentEmbedder(parent.student).embed(inputs)[1],
            {one.case_id for one in collected.asked},
            precedent_ids(parent.precedents),
        )
        settings = train_settings(refresh, parent.release.inputs, share=built.violative_share, fused=fused)
        policy = train_from(inherited, evidence, settings=settings, seed=plan.seed, tick=tick)
        clear(run.candidate)
        lineage = Lineage(collected.version, collected.parent_version, tuple(item.case for item in evidence))
        beside = reference_to(open_snapshot(Path(built.dataset))) | {
            "refresh.json": run.lineage(collected.sequence).model_dump_json(indent=2) + "\n",
        }
        release = write_release(policy, run.candidate, lineage, settings=settings, now=now, beside=beside)
        manifest = digest_of(run.candidate / MANIFEST)
        return Trained(candidate=str(run.candidate), manifest=manifest, metrics=release.metrics)

    return run.once("train", Trained, make, there=lambda found: _same(Path(found.candidate), found.manifest))


def gate(run: RefreshRun, *, now: datetime) -> GateResult:
    """Put the candidate through the gate against its parent; a refusal is a result, kept beside the releases."""

    def make() -> GateResult:
        collected, trained = run.found("collect", Collected), run.found("train", Trained)
        parent, golden = _parent(run, collected).path, Path(run.plan.golden)
        if golden.is_dir():
            result = pass_gate(Path(trained.candidate), parent, read_snapshot(golden), now=now)
        else:
            traffic = Path(run.plan.traffic) if run.plan.traffic else None
            roots = tuple(map(Path, run.plan.media_roots)) or (golden.resolve().parent,)
            result = gate_files(Path(trained.candidate), parent, golden, traffic, roots=roots, now=now)
        write_gate_result(ReleasesRoot(Path(run.plan.releases)), result)
        return result

    return run.once("gate", GateResult, make, there=lambda _: True)


def promote(run: RefreshRun, *, now: datetime) -> Promoted:
    """Give the candidate its seat; raises `CheckFailedError` with the gate's reasons where it was refused."""
    result = run.found("gate", GateResult)
    if not result.passed:
        raise CheckFailedError(f"{run.candidate}: the gate refused it: {'; '.join(result.refusals)}")

    def make() -> Promoted:
        root = ReleasesRoot(Path(run.plan.releases))
        pointer = promote_release(root, run.candidate, now=now, seat=run.plan.seat, moved_by="refresh")
        return Promoted(seat=run.plan.seat, pointer=pointer)

    return run.once("promote", Promoted, make, there=lambda _: True)


def _parent(run: RefreshRun, collected: Collected) -> ReleaseFolder:
    """The parent, verified, and still the one that the cases were collected for."""
    parent = open_release(Path(run.plan.parent))
    if (found := digest_of(parent.path / MANIFEST)) != collected.parent:
        raise BadInputError(f"{parent.path / MANIFEST}: digest is {found}, was {collected.parent} when collected")
    return parent


def _old_of(run: RefreshRun, parent: ReleaseFolder) -> tuple[list[Evidence], str | None]:
    """What taught the parent: the snapshot that it names, or that the plan does, or its precedents alone."""
    if REFERENCE in parent.release.digests:
        named = Snapshot.model_validate_json((parent.path / REFERENCE).read_bytes())
        home = Path(run.plan.releases) / "datasets" / named.digest.removeprefix("sha256:")[:16]
        given = None if run.plan.old is None else Path(run.plan.old)
        if given is not None and not home.exists() and open_snapshot(given).digest == named.digest:
            home = given
        if not home.exists():
            raise BadInputError(
                f"{home}: is missing, release {parent.release.version} names it; --old says where it lies"
            )
        return read_snapshot(home), str(home)
    if run.plan.old is not None:
        return read_snapshot(Path(run.plan.old)), run.plan.old
    return read_precedents(parent.precedents), None


def learned_from(run: RefreshRun) -> tuple[list[Evidence], list[Evidence]]:
    """The older cases of a refresh, less those that fell, and the newly ruled ones."""
    collected = run.found("collect", Collected)
    return _both(run, collected, _parent(run, collected))


def _both(run: RefreshRun, collected: Collected, parent: ReleaseFolder) -> tuple[list[Evidence], list[Evidence]]:
    fell = set(collected.fell)
    old, _ = _old_of(run, parent)
    return [item for item in old if item.case.case_id not in fell], read_snapshot(Path(collected.fresh))


def _golden_cases(run: RefreshRun) -> Sequence[DecidedCase]:
    golden = Path(run.plan.golden)
    return [item.case for item in read_snapshot(golden)] if golden.is_dir() else read_cases(golden)


def _same(candidate: Path, manifest: str) -> bool:
    try:
        return digest_of(candidate / MANIFEST) == manifest and open_release(candidate) is not None
    except (OSError, BadInputError):
        return False
