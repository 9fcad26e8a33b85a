"""`python -m bench [NAME...]`: run the benchmarks in order, print their tables, keep their figures as JSON."""

import importlib
import sys
import time

import click

from bench.record import record

BENCHES = {
    "scoring": "ONNX Runtime in a tight loop, in-process scorer, Triton client, by batch size",
    "casebook": "exact search over 10 k, 100 k and 1 M precedents, publish-to-serving time",
    "lookups": "lookups of 200 candidates, idle and beside a writer; guarded writes",
    "whole_path": "upload to readable feature beside the same work in a tight loop, text-only and with media",
    "assignment": "users a second assigned to arms, beside a plain loop of hashlib",
    "ab_validity": "A/B estimates on thousands of re-randomisations: false positives, coverage, daily looks, leaks",
    "ab_scale": "an experiment's user table and sums from 1, 10 and 50 million impressions, beside a query by hand",
    "platform": "toxicity-aware ranking on the simulated platform: truth, estimates, bias, coverage, a grid",
    "brigade": "users who report together against harmless videos: cases that they open, honest cases that are kept",
    "weeks": "simulated weeks with two trends: a policy that learns against one that does not, truth and A/B estimate",
    "ingest": "impressions from the broker into deduplicated sums, and again in other batches",
    "warehouse": "inserts, small queries and a large result through the owner, beside chDB in this process",
    "refresh": "a nightly refresh of 20,000 cases with frames, step by step: seconds and peak memory",
    "quality": "accuracy and calibration on simulated uploads of an unseen seed, and ablations",
    "ruling": "a ruling to the changed verdict of a similar video, through clerk, publication and Triton",
    "trend": "recall of new trends before, by 1, 5 and 20 precedents, after the nightly refresh; old categories",
    "gate": "retrainings and seeded damages through the release gate, what it refuses, the rate of its replay",
    "voting": "a tiny judge of pairs: accuracy by 1, 5 and 15 votes, consistency with and without its reward",
    "refinement": "a night's rulings on a category that the VLM never saw; what its votes teach the student",
    "gate_margins": "what retrainings on the same cases lose, and the gate's margins that follow by its rule",
    "stability": "StableReinforce and ablations against Reinforce++ on a grid: which tiny policies diverge or collapse",
    "growth.match": "pictures against 19,227 types, top-10 by cosine, beside the bare matrix product",
    "growth.subtypes": "40 planted sub-types: precision and recall of matching by a tiny dual encoder",
    "growth.instruction": "sub-type questions to a tiny VLM: taught with grown data, and with top labels alone",
    "growth.kills": "growth killed at ten random moments: what is left, byte for byte, and what was asked twice",
    "growth.scale": "115 seeds to 19,227 types, and 413,648 samples through every stage: seconds, calls, memory",
    "fuzz": "100,000 mutated events and 2,000 damaged media files: accepted, refused by reason, crashes, growth",
    "load.sustained": "1,000 events a second on a real Kafka and a real Redis: ledger, latencies, memory",
    "load.rates": "the highest rate that holds p95 under 500 ms: the worker, the job by hand, the job on Quix Streams",
    "load.scaling": "partitions by workers on a real Kafka: events a second, latency at half of it, cost of a million",
    "chaos": "parts killed, paused, slowed, filled, added and removed beside a load: losses, repeats, recovery",
    "step_time": "a step of StableReinforce beside one of TRL's GRPO: the same tiny VLM, rows and batch",
}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHES)))
@click.option("--keep", is_flag=True, help="write the figures into bench/results too, to be committed")
def bench(names: tuple[str, ...], *, keep: bool) -> None:
    """Run the benchmarks NAMES, or all of them; figures go to .state/bench/NAME.json.

    \b
    Example:
      python -m bench scoring lookups
    """
    for name in names or BENCHES:
        click.echo(f"\n== {name}: {BENCHES[name]}")
        started = time.perf_counter()
        figures = importlib.import_module(f"bench.{name}").measure()
        record(name, figures, took_s=time.perf_counter() - started, keep=keep)
        sys.stdout.flush()


if __name__ == "__main__":
    bench()
