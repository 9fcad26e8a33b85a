"""`precedent taxonomy match`: pictures and a taxonomy's leaves in, the leaves nearest to each picture out."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from policy.commands.options import FOLDER
from policy.commands.progress import progress_of

if TYPE_CHECKING:
    from policy.growth.parts import Totals


@click.command()
@click.argument("home", type=FOLDER)
@click.option("--taxonomy", "types", type=FOLDER, required=True, help="The folder whose leaves are matched.")
@click.option(
    "--pictures", "path", type=click.Path(path_type=Path), required=True, help="A folder, Parquet or uploads.jsonl."
)
@click.option("--encoder", "checkpoint", type=FOLDER, required=True, help="CLIP, SigLIP (2) or Chinese-CLIP.")
@click.option("--k", type=click.IntRange(1, 1_000), default=10, show_default=True, help="Types a picture, at most.")
@click.option(
    "--least", type=click.FloatRange(-1, 1), default=-1.0, show_default=True, help="Cosine that a type needs."
)
@click.option("--shown", type=click.Choice(("name", "path")), default="name", show_default=True, help="Of a leaf.")
@click.option("--template", default="a photo of {}", show_default=True, help="What the encoder reads; {} is the leaf.")
@click.option("--px", type=click.IntRange(16, 2_048), default=336, show_default=True, help="Longer side, at most.")
@click.option("--frames", type=click.IntRange(1, 16), default=4, show_default=True, help="Of a video.")
@click.option("--part", type=click.IntRange(1, 65_536), default=1_024, show_default=True, help="Pictures a file.")
@click.option("--column", default="image", show_default=True, help="With Parquet: where the pictures' bytes are.")
@click.option("--media-root", "roots", type=FOLDER, multiple=True, help="Where videos may lie [beside the uploads].")
@click.option("--device", help="Such as cpu or cuda:1 [a GPU where there is one].")
def match(
    home: Path,
    types: Path,
    path: Path,
    checkpoint: Path,
    k: int,
    least: float,
    shown: Literal["name", "path"],
    template: str,
    px: int,
    frames: int,
    part: int,
    column: str,
    roots: tuple[Path, ...],
    device: str | None,
) -> None:
    """Match pictures with the types of a taxonomy: HOME/pictures, HOME/embeddings and HOME/matches.

    Pictures that are there twice, cannot be read or cost too much are dropped and counted. The same command goes on
    after any interruption, with the same bytes as if there had been none.

    \b
    Example:
      precedent taxonomy match grown --taxonomy taxonomy --pictures photos --encoder clip-vit-base-patch32
      precedent taxonomy match grown --taxonomy taxonomy --pictures clips/uploads.jsonl --encoder siglip2 --k 5
    """
    from transformers.utils.logging import disable_progress_bar

    from policy.growth.encoders.checkpoint import open_encoder
    from policy.growth.encoders.embed import embed
    from policy.growth.encoders.typed import TypeTexts, embed_types
    from policy.growth.match import MatchSettings
    from policy.growth.match import match as match_parts
    from policy.growth.parts import alone_in
    from policy.growth.pictures.collect import collect
    from policy.growth.pictures.decoders import PictureSettings
    from policy.growth.pictures.sources import open_pictures
    from policy.growth.taxonomy.folder import read_taxonomy, read_version

    disable_progress_bar()
    settings = PictureSettings(px=px, frames=frames, part=part)
    texts = TypeTexts(shown, template)
    taxonomy, version = read_taxonomy(types), read_version(types).version
    pictures = open_pictures(path, column=column, roots=roots, limits=settings.limits)
    encoder = open_encoder(checkpoint, device=device)
    with alone_in(home):
        with progress_of(pictures.n, "pictures") as advance:
            collected = collect(pictures, home / "pictures", settings, advance=advance)
        click.echo(_told("pictures", collected))
        with progress_of(len(taxonomy.leaves), "types") as advance:
            known = embed_types(home, taxonomy, version, encoder, texts, advance=advance)
        click.echo(f"types: {len(known.node_ids):,} leaves of {version}, by {encoder.name}")
        with progress_of(collected.kept, "embeddings") as advance:
            embedded = embed(home / "pictures", home / "embeddings", encoder, advance=advance)
        click.echo(_told("embeddings", embedded))
        with progress_of(embedded.kept, "matches") as advance:
            matched = match_parts(
                home / "embeddings", known, home / "matches", MatchSettings(k, least), advance=advance
            )
        click.echo(_told("matches", matched))


def _told(stage: str, counted: "Totals") -> str:
    """`pictures: 9 in = 6 kept + 3 dropped (duplicate 1, truncated 2)`."""
    dropped = sum(counted.dropped.values())
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in counted.dropped.items())
    return f"{stage}: {counted.n_in:,} in = {counted.kept:,} kept + {dropped:,} dropped" + (reasons and f" ({reasons})")
