"""PTransforms: wiring only.

If an `if` about pixels, UIDs, scores or thresholds seems needed here, it belongs one layer down,
in a function that is tested with numbers. What stays here is Beam's business: which element goes
to which output, what waits for a bundle's end, and what is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import apache_beam as beam

from batch.archive.local import ArchiveStorage
from batch.archive.reader import read_file
from batch.core.records import RunFacts
from batch.core.rules import ReadingRules
from batch.dofns import ReadDoFn, Results, ScoreDoFn, ShardDoFn
from batch.model.classifier import Classifier
from batch.model.manifest import OutputContract
from batch.reports import listing, parts
from batch.reports.queue import read_chunk
from batch.storage.shared_folder import SharedFolder


@dataclass
class ReadQueue(beam.PTransform):
    """The files of a segment. chunks: names of the queue's chunks. spread: over the workers, of
    which there are several.
    """

    shared: SharedFolder
    chunks: Sequence[str]
    spread: bool = True

    def expand(self, pbegin: beam.Pipeline) -> beam.PCollection:
        """Give a PCollection of QueuedFile."""
        chunks = pbegin | "Chunks" >> beam.Create(self.chunks, reshuffle=self.spread)
        files = chunks | "ReadChunk" >> beam.FlatMap(partial(read_chunk, self.shared))
        return files | "SpreadFiles" >> beam.Reshuffle() if self.spread else files


@dataclass
class ListFolders(beam.PTransform):
    """List what lies below many folders, spread over the workers. chunks: of `write_folders`."""

    archive: ArchiveStorage
    shared: SharedFolder
    chunks: Sequence[str]
    index: str

    def expand(self, pbegin: beam.Pipeline) -> None:
        """Write the files found, and last the index of what counts."""
        _ = (
            pbegin
            | "Folders" >> beam.Create(self.chunks)
            | "SpreadFolders" >> beam.Reshuffle()
            | "ListChunk" >> beam.Map(partial(listing.list_chunk, self.archive, self.shared))
            | "OneIndex" >> beam.WithKeys(0)
            | "AllListed" >> beam.GroupByKey()
            | "WriteIndex" >> beam.MapTuple(partial(_write_index, self.shared, self.index))
        )


@dataclass
class PrepareImages(beam.PTransform):
    """Read every file once, on a few threads, and bring its frames to the model's input."""

    archive: ArchiveStorage
    rules: ReadingRules
    threads: int

    def expand(self, files: beam.PCollection) -> beam.PCollection:
        """From QueuedFile: FileReading, one a file, and ModelInput or Unscored, one a frame."""
        read = partial(read_file, self.archive, rules=self.rules)
        return files | "Read" >> beam.ParDo(ReadDoFn(read, self.threads))


@dataclass
class ScoreImages(beam.PTransform):
    """Batch the images through the classifier; `load` gives it, once a worker process."""

    load: Callable[[], Classifier]
    output: OutputContract
    batch_size: int
    threads: int = 1

    def expand(self, prepared: beam.PCollection) -> beam.PCollection:
        """For ModelInput Prediction or Unscored; FileReading and Unscored pass through."""
        score = ScoreDoFn(self.load, self.output, self.batch_size, self.threads)
        return prepared | "Score" >> beam.ParDo(score)


@dataclass
class WriteReports(beam.PTransform):
    """Write the parts of every table to the shared folder, and last the list of those that count.

    All that became of a file meets in one shard, so its rows in all tables are of one attempt.
    """

    shared: SharedFolder
    facts: RunFacts
    shards: int
    list_name: str

    def expand(self, results: beam.PCollection) -> None:
        """Write predictions, alerts, unscored and files, from all that became of the files."""
        # a PTransform costs a segment some 8 ms: one key and one group for all kinds of result
        _ = (
            results
            | "Shard" >> beam.ParDo(ShardDoFn(self.shards))
            | "OfOneShard" >> beam.GroupByKey()
            | "WriteShard" >> beam.FlatMapTuple(partial(_write_shard, self.shared, self.facts))
            | "AllParts" >> beam.GroupByKey()
            | "WriteList" >> beam.MapTuple(partial(_write_list, self.shared, self.list_name))
        )


def _write_shard(
    shared: SharedFolder, facts: RunFacts, shard: int, collected: Iterable[Results]
) -> list[tuple[int, parts.Part]]:
    """All under one key: one list tells of every shard."""
    results = (result for some in collected for result in some.items)
    written = parts.write_parts(shared, shard, parts.shard_rows(results, facts))
    return [(0, part) for part in written]


def _write_index(
    shared: SharedFolder, name: str, _key: int, written: Iterable[tuple[str, str]]
) -> None:
    listing.write_index(shared, name, written)


def _write_list(shared: SharedFolder, name: str, _key: int, written: Iterable[parts.Part]) -> None:
    parts.write_list(shared, name, written)
