"""A taxonomy in, a larger one out: level by level, round by round, each part of a round on the disk before the next.

TAXONOMY/rounds/part-00000.parquet      the types that a round's part added (`decisions.KEPT`)
TAXONOMY/rounds/dropped-00000.parquet   what it refused (`decisions.DROPPED`)
TAXONOMY/rounds/journal-00000.jsonl     what was answered for a part that is not whole yet; goes when it is
TAXONOMY/nodes.jsonl, version.json      the seeds and what whole parts added

A rerun takes the parts that are there and asks for the rest.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import polars as pl

from contracts.errors import DependencyError
from contracts.growth import TypeNode
from policy.growth.calls.ask import LLM, Ask, AwayError, Said
from policy.growth.calls.asker import Asker
from policy.growth.grow.asking import ask_round
from policy.growth.grow.decisions import DROPPED, KEPT, NOTHING_MISSING, UNUSABLE, Decided, decide, names_in, nodes_of
from policy.growth.grow.meaning import TextEncoder, Vectors
from policy.growth.grow.parsing import Refusal
from policy.growth.grow.settings import GrowthSettings
from policy.growth.parts import alone_in, check_ends_at, dropped_of, is_done, note_of, part_at, read_part, write_part
from policy.growth.taxonomy.folder import TaxonomyVersion, version_of, write_taxonomy
from policy.growth.taxonomy.hierarchy import Taxonomy
from policy.growth.taxonomy.top_labels import check_top_labels, closed_ids, is_of_moderation
from policy.reasoning.teaching.account import BudgetSpentError, Spent

ROUNDS = "rounds"
SPENT = "spent"

Watch = Callable[[int, str], AbstractContextManager[Callable[[int], None]]]
"""Shows how far a round is: given its questions and its name, yields what advances it."""


class Ending(StrEnum):
    """Why growing ended."""

    LEVELS = "every level was asked for"
    TARGET = "the target is reached"
    BUDGET = "the budget is spent"
    AWAY = "the endpoint is away"


class RoundCount(NamedTuple):
    """What came of a round: proposed == kept + refused, by reason. `asked`: types; `answers`: of all their tries.

    number: as the types' `round`. level: of the types that were asked. unusable: answers without a line. leaves: of the
    whole taxonomy, after it. below: types on the next level, before it.
    """

    number: int
    level: int = 0
    asked: int = 0
    answers: int = 0
    kept: int = 0
    refused: Mapping[str, int] = MappingProxyType({})
    unusable: int = 0
    leaves: int = 0
    below: int = 0

    @property
    def share(self) -> float:
        """Kept of the types that were on the next level; infinite where there were none."""
        return self.kept / self.below if self.below else (math.inf if self.kept else 0.0)

    @property
    def proposed(self) -> int:
        return self.kept + sum(self.refused.values())


class Growth(NamedTuple):
    """A grown taxonomy, its rounds, and why it ended; `detail` is the error's where it did not end by itself."""

    taxonomy: Taxonomy
    rounds: tuple[RoundCount, ...]
    ending: Ending
    detail: str = ""

    @property
    def stopped(self) -> bool:
        """Whether there is more to ask, and the same command goes on."""
        return self.ending in {Ending.BUDGET, Ending.AWAY}


@contextmanager
def unwatched(_total: int, _what: str) -> Iterator[Callable[[int], None]]:
    yield lambda _n: None


async def grow_into(
    folder: Path,
    seeds: Taxonomy,
    settings: GrowthSettings,
    asker: Asker,
    encoder: TextEncoder,
    *,
    watch: Watch = unwatched,
) -> tuple[Growth, TaxonomyVersion]:
    """Grow a taxonomy and write it to `folder`, whatever ended it.

    Raises `DependencyError` where the endpoint is away, after what was whole is written, and `BadInputError` where the
    folder's rounds are of other seeds or settings, or another process grows there.
    """
    with alone_in(folder / ROUNDS):
        growth = await grow(folder / ROUNDS, seeds, settings, asker, encoder, watch=watch)
        version = write_taxonomy(growth.taxonomy, folder, parent=version_of(seeds))
    if growth.ending is Ending.AWAY:
        raise DependencyError(
            f"{growth.detail} ({folder} holds what is whole of {len(growth.rounds)} rounds, the same command goes on)"
        )
    return growth, version


async def grow(
    home: Path,
    seeds: Taxonomy,
    settings: GrowthSettings,
    asker: Asker,
    encoder: TextEncoder,
    *,
    watch: Watch = unwatched,
) -> Growth:
    """Grow a taxonomy, with its rounds in `home`; below the top labels of moderation, where `seeds` have them."""
    if is_of_moderation(seeds):
        check_top_labels(seeds)
    closed = closed_ids(seeds)
    plan = settings.plan(encoder.name, closed)
    growing = _Growing(home, seeds, settings, plan, Vectors(encoder), asker, watch)
    try:
        ending, detail = await _by_level(growing, closed), ""
    except BudgetSpentError as spent:
        ending, detail = Ending.BUDGET, str(spent)
    except AwayError as away:
        ending, detail = Ending.AWAY, str(away)
    if ending in {Ending.LEVELS, Ending.TARGET}:
        check_ends_at(home, growing.parts)
    return Growth(growing.taxonomy, tuple(growing.counts), ending, detail)


async def _by_level(growing: "_Growing", closed: frozenset[str]) -> Ending:
    settings = growing.settings
    if growing.reached:
        return Ending.TARGET
    for level in range(1, settings.levels):
        silent = set(closed)  # types of which nothing new came: nothing new will
        for _ in range(settings.rounds):
            asked = [node for node in growing.taxonomy.at_level(level) if node.node_id not in silent]
            if not asked:
                break
            growing.begin(level)
            parts = -(-len(asked) // settings.part)
            for first in range(parts):  # each of all roots alike: the target may be reached before the last
                silent |= _silent(await growing.part(asked[first::parts]))
                if growing.reached:
                    return Ending.TARGET
            if growing.counts[-1].share < settings.least_new:
                break
    return Ending.LEVELS


class _Growing:
    """The taxonomy so far, its rounds and the parts that they are written in."""

    def __init__(
        self,
        home: Path,
        seeds: Taxonomy,
        settings: GrowthSettings,
        plan: str,
        vectors: Vectors,
        asker: Asker,
        watch: Watch,
    ) -> None:
        self.taxonomy = seeds
        self.settings = settings
        self.counts = list[RoundCount]()
        self.parts = 0
        self._now = RoundCount(max((node.round for node in seeds.nodes), default=0))
        self._home = home
        self._plan = plan
        self._vectors = vectors
        self._vectors.remember([node.name for node in seeds.nodes])
        self._asker = asker
        self._watch = watch

    @property
    def reached(self) -> bool:
        return self.settings.target is not None and len(self.taxonomy.leaves) >= self.settings.target

    def begin(self, level: int) -> None:
        """Begin the next round, on a level."""
        self._now = RoundCount(self._now.number + 1, level, below=len(self.taxonomy.at_level(level + 1)))

    async def part(self, asked: list[TypeNode]) -> Decided:
        """Take a part of the round that is there, or ask for it and write it."""
        i, made_of = self.parts, version_of(self.taxonomy)
        path, journal = part_at(self._home, i), self._home / f"journal-{i:05d}.jsonl"
        if is_done(self._home, i, input=made_of, plan=self._plan):
            decided = Decided(read_part(path, KEPT), read_part(dropped_of(path), DROPPED))
            self._vectors.remember(names_in(decided))
            self._asker.account.resume(LLM, Spent.model_validate_json(note_of(path, SPENT)))
        else:
            async with self._asker.kept(journal, f"{made_of} {self._plan}") as (ask, answers):
                decided = await self._decided(asked, ask)
            notes = {SPENT: _spent(answers.values()).model_dump_json()}
            write_part(self._home, i, *decided, input=made_of, plan=self._plan, notes=notes)
        journal.unlink(missing_ok=True)
        self.parts += 1
        self.taxonomy = self.taxonomy.adding(nodes_of(decided.kept, self.taxonomy, proposed_by=self.settings.model))
        self._now = _with(self._now, decided, len(self.taxonomy.leaves))
        self.counts = [*(one for one in self.counts if one.number < self._now.number), self._now]
        return decided

    async def _decided(self, asked: list[TypeNode], ask: Ask) -> Decided:
        number, level = self._now.number, self._now.level
        with self._watch(len(asked), f"round {number}, level {level}") as advance:
            answered = await ask_round(
                asked, self.taxonomy, number, ask, self.settings, parallel=self._asker.parallel, advance=advance
            )
        return decide(answered, self.taxonomy, number, self._vectors, self.settings)


def _spent(answers: Iterable[Said]) -> Spent:
    said = list(answers)
    return Spent(
        answers=len(said),
        prompt_tokens=sum(one.prompt_tokens for one in said),
        completion_tokens=sum(one.completion_tokens for one in said),
    )


def _silent(decided: Decided) -> set[str]:
    """The types for which an answer could be read, and nothing in it was new."""
    read = decided.dropped.filter(pl.col("reason").is_in([NOTHING_MISSING, str(Refusal.EXISTS), str(Refusal.NEAR)]))
    return set(read["parent_id"]) - set(decided.kept["parent_id"])


def _with(before: RoundCount, decided: Decided, leaves: int) -> RoundCount:
    """The counts of a round with those of one more part."""
    kept, dropped = decided
    refused = Counter(before.refused)
    for reason, lines in dropped.filter(pl.col("lines") > 0).select("reason", "lines").iter_rows():
        refused[reason] += lines
    tries = pl.concat([rows.select("parent_id", "attempt") for rows in decided])
    return before._replace(
        asked=before.asked + tries["parent_id"].n_unique(),
        answers=before.answers + tries.n_unique(),
        kept=before.kept + kept.height,
        refused=dict(sorted(refused.items())),
        unusable=before.unusable + dropped.filter(pl.col("reason") == UNUSABLE).height,
        leaves=leaves,
    )
