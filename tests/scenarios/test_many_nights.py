"""Many nights over a small archive, against an oracle that knows nothing of tables and plans.

The archive is made up, and so is its reader; what is remembered, planned, gathered, counted,
balanced and published is the job's own. After every night each published row is compared with what
plain dictionaries say, rule by rule.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch.core.config import Order
from batch.core.errors import FailureReason, NonImageReason, PendingReason
from batch.core.records import FileState, ImageLocation, RunFacts
from batch.reports import local
from batch.reports.local import LocalReports
from batch.run.merge import QueueProgress, gather_night
from batch.run.plan import Action
from tests.support import stored_nights
from tests.support.stored_nights import Night, Result, image, non_image, pending, reused, sha

AGAIN = {"not_readable", "vanished", "not_a_regular_file"}
OF_DICOM = {"dicom_without_pixels", "dicom_other_kind", "excluded_by_rule"}
BY_MODEL = {"model_failed", "model_input_invalid", "score_not_finite"}
PATHS = ("a", "b", "d/a", "d/e/b", "d/e/l\udce4sion", "d/e/l\\xe4sion", "dé")
FOLDERS = ("d/", "d/e/")


@dataclass(frozen=True)
class Content:
    """What a file holds. kind: how it behaves when it is read; number: tells apart."""

    kind: str
    number: int

    @property
    def size(self) -> int:
        return 100 + self.number % 2  # different contents of one size are the rule


@dataclass(frozen=True)
class World:
    """Everything besides the files that a night's results depend on."""

    model: str = "m1"
    threshold: float = 0.5
    program: str = "1"
    limits: int = 0
    rules: str = "all"

    def facts(self, number: int) -> RunFacts:
        return stored_nights.facts(
            number,
            self.model,
            self.threshold,
            program_version=self.program,
            failure=f"limits-{self.limits}",
            identity=f"rules-{self.rules}",
        )


def score(content: Content, frame: int, model: str) -> float:
    """Some number of content, frame and model; never the threshold's neighbour by rounding."""
    return int(sha((content, frame, model))[:4], 16) % 101 / 100


def frames_of(content: Content, world: World) -> list[float | FailureReason] | NonImageReason:
    """What reading and scoring say of a content: the made-up decoders, limits and models."""
    whole = [score(content, 1, world.model)]
    several = [score(content, frame, world.model) for frame in (1, 2, 3)]
    if content.kind == "plain":
        return whole
    if content.kind == "dicom":
        return NonImageReason.EXCLUDED_BY_RULE if world.rules == "few" else several[:2]
    if content.kind == "partly":  # a frame that only wider limits let pass
        return several if world.limits else [several[0], FailureReason.TOO_MANY_PIXELS, several[2]]
    if content.kind == "broken":
        return whole if world.limits else [FailureReason.DECODE_FAILED]
    if content.kind == "disliked":  # by one of the models
        return [FailureReason.MODEL_FAILED] if world.model == "m1" else whole
    if content.kind == "closed":
        return [FailureReason.NOT_READABLE]
    assert content.kind == "text"
    return NonImageReason.OTHER_FILE_TYPE if world.program == "1" else whole


KINDS = ("plain", "dicom", "partly", "broken", "disliked", "closed", "text")


def format_of(content: Content) -> str:
    return "dicom" if content.kind in ("dicom", "partly") else "jpeg"


def fake_read(
    archive: dict[str, tuple[Content, int]], restless: Iterable[str], world: World
) -> stored_nights.Read:
    """The pipeline of this archive. restless: files that change under the reader."""
    changing = set(restless)

    def read(where: ImageLocation, known: frozenset[str]) -> Result:
        if where.path.endswith("/"):
            return stored_nights.failed(where, FailureReason.NOT_READABLE, None)
        if where.path in changing:
            return pending(where, PendingReason.CHANGED_WHILE_READ)
        content = archive[where.path][0]
        if sha(content) in known and content.kind != "closed":
            return reused(where, content)
        found = frames_of(content, world)
        if isinstance(found, NonImageReason):
            result = non_image(where, found)
            outcome = replace(result.outcome, content_sha256=sha(content))
            return replace(result, outcome=outcome)
        return image(where, *found, content=content, file_format=format_of(content))

    return read


# --- the oracle: plain records, and the rules as README states them ----


@dataclass(frozen=True)
class Shot:
    """A frame's prediction as the oracle remembers it."""

    score: float
    model: str
    threshold: float
    is_alert: bool
    run_ids: frozenset[str]

    def judged(self, world: World) -> Shot:
        if self.model != world.model:
            return self
        return replace(self, threshold=world.threshold, is_alert=self.score >= world.threshold)


@dataclass(frozen=True)
class Known:
    """A file as the oracle remembers it."""

    size: int
    mtime_ns: int
    state: str
    reason: str | None
    world: World
    run_id: str
    digest: str | None = None
    file_format: str | None = None
    attempts: int = 0
    shots: dict[int, Shot] = field(default_factory=dict)
    failures: dict[int, tuple[str, str]] = field(default_factory=dict)  # reason, run

    def same_as(self, where: ImageLocation) -> bool:
        return (self.size, self.mtime_ns) == (where.size, where.mtime_ns)

    def is_done(self, now: World) -> bool:
        """Nothing would come out differently tonight."""
        if self.state == "pending" and not self.shots:
            return False
        if self.shots and self.world.model != now.model:
            return False
        of_dicom = self.file_format == "dicom" or self.reason in OF_DICOM
        if of_dicom and self.world.rules != now.rules:
            return False
        if self.state == "non_image" and self.world.program != now.program:
            return False
        return not self.failures or self._given_up(now)

    def _given_up(self, now: World) -> bool:
        if (self.world.program, self.world.limits) != (now.program, now.limits):
            return False
        if self.reason in AGAIN or (self.reason in BY_MODEL and self.world.model != now.model):
            return False
        return self.attempts >= 3

    def lends(self, now: World) -> bool:
        return bool(self.is_done(now) and self.shots and not self.failures)


State = dict[str, Known]


@dataclass
class Verdict:
    """What the oracle says of a night."""

    state: State
    read: list[str]
    predictions: set[str] = field(default_factory=set)
    turned: set[tuple[str, int]] = field(default_factory=set)


@dataclass
class Oracle:
    """nights: newest last, those that can still be read. dead: segments, newest run first."""

    nights: list[tuple[str, State]] = field(default_factory=list)
    dead: list[tuple[World, State]] = field(default_factory=list)

    @property
    def memory(self) -> State:
        return self.nights[-1][1] if self.nights else {}

    def read_one(
        self, where: ImageLocation, content: Content | None, restless: bool, now: World, run_id: str
    ) -> Known:
        """One file read tonight."""
        old = self.memory.get(where.path)
        attempts = 0
        if old and old.same_as(where):
            comparable = (old.world.program, old.world.limits) == (now.program, now.limits)
            attempts = old.attempts if comparable else 0
        new = Known(where.size, where.mtime_ns, "scored", None, now, run_id)
        if content is None:  # a folder that cannot be listed
            failures = {1: ("not_readable", run_id)}
            return replace(
                new, state="unscored", reason="not_readable", digest=sha(where.path),
                attempts=attempts + 1, failures=failures,
            )  # fmt: skip
        if restless:
            return replace(new, state="pending", reason="changed_while_read", attempts=attempts)
        new = replace(new, digest=sha(content))
        lenders = [
            known for known in self.memory.values()
            if known.digest == sha(content) and known.size == where.size and known.lends(now)
        ]  # fmt: skip
        if lenders and content.kind != "closed":
            shots = {
                frame: replace(
                    shot, run_ids=frozenset().union(*(k.shots[frame].run_ids for k in lenders))
                ).judged(now)
                for frame, shot in lenders[0].shots.items()
            }
            return replace(new, state="reused", file_format=lenders[0].file_format, shots=shots)
        found = frames_of(content, now)
        if isinstance(found, NonImageReason):
            return replace(new, state="non_image", reason=found.value)
        shots, failures = {}, {}
        for frame, value in enumerate(found, 1):
            if isinstance(value, FailureReason):
                failures[frame] = (value.value, run_id)
            else:
                is_alert = value >= now.threshold
                shots[frame] = Shot(value, now.model, now.threshold, is_alert, frozenset({run_id}))
        state = "scored" if shots else "unscored"
        reason = None if shots else failures[1][0]
        return replace(
            new, state=state, reason=reason, file_format=format_of(content), shots=shots,
            failures=failures, attempts=attempts + 1 if failures else 0,
        )  # fmt: skip

    def taken_up(self, where: ImageLocation, now: World, run_id: str) -> Known | None:
        for world, segment in self.dead:
            found = segment.get(where.path)
            if world != now or found is None:
                continue
            # the newest reading counts, whatever it says
            if found.state not in ("scored", "unscored", "non_image") or not found.same_as(where):
                return None
            if found.reason == "not_readable":  # costs nothing to try, and may be healed
                return None
            shots = {f: replace(s, run_ids=frozenset({run_id})) for f, s in found.shots.items()}
            failures = {f: (reason, run_id) for f, (reason, _) in found.failures.items()}
            return replace(found, run_id=run_id, shots=shots, failures=failures)
        return None

    def night(
        self,
        archive: dict[str, tuple[Content, int]],
        tonight: Tonight,
        run_id: str,
        done: int | None,
    ) -> Verdict:
        """done: files of the queue that are read; None for all."""
        now, memory = tonight.world, self.memory
        listing = list(listing_of(archive, tonight.blind))
        blind = tuple(where.path for where in listing if where.path.endswith("/"))
        listed = {where.path for where in listing}
        verdict, queue = Verdict({}, []), []

        def wait(where: ImageLocation, reason: str) -> None:
            old = memory.get(where.path)
            if old and old.same_as(where):
                shots = {frame: shot.judged(now) for frame, shot in old.shots.items()}
                new = replace(old, state="pending", reason=reason, shots=shots)
            else:
                new = Known(where.size, where.mtime_ns, "pending", reason, now, run_id)
            verdict.state[where.path] = new

        for where in listing:
            old = memory.get(where.path)
            if old and old.same_as(where) and old.is_done(now):
                was_scored = old.state in ("scored", "reused", "pending")
                state = "unchanged" if was_scored else old.state
                reason = None if old.state == "pending" else old.reason
                shots = {frame: shot.judged(now) for frame, shot in old.shots.items()}
                verdict.state[where.path] = replace(old, state=state, reason=reason, shots=shots)
            elif taken := self.taken_up(where, now, run_id):
                verdict.state[where.path] = taken
                verdict.predictions.add(where.path)
            elif tonight.settled_before is not None and where.mtime_ns > tonight.settled_before:
                wait(where, "not_settled")
            else:
                queue.append(where)
        for path, old in memory.items():
            if path not in listed and path.startswith(blind):
                wait(ImageLocation(path, old.size, old.mtime_ns), "folder_not_listed")
        if tonight.order != Order.PATH:
            newest = tonight.order == Order.NEWEST
            queue.sort(key=lambda where: -where.mtime_ns if newest else where.mtime_ns)
        for number, where in enumerate(queue):
            if done is not None and number >= done:
                wait(where, tonight.waiting.value)
                continue
            verdict.read.append(where.path)
            content = archive[where.path][0] if where.path in archive else None
            restless = where.path in tonight.restless
            new = self.read_one(where, content, restless, now, run_id)
            verdict.state[where.path] = new
            if new.state == "scored":
                verdict.predictions.add(where.path)
        self._turned(verdict)
        return verdict

    def _turned(self, verdict: Verdict) -> None:
        """Remembered frames, at their own or a new place, that are an alert now and were none."""
        were = {
            (known.digest, frame, shot.model): shot.is_alert
            for known in self.memory.values()
            for frame, shot in known.shots.items()
        }
        for path, known in verdict.state.items():
            if path in verdict.predictions:
                continue
            for frame, shot in known.shots.items():
                if shot.is_alert and not were[known.digest, frame, shot.model]:
                    verdict.turned.add((path, frame))


# --- nights, drawn at random ----


@dataclass(frozen=True)
class Tonight:
    """What happens in one night, after these changes of the archive.

    ending: `whole`, `stopped` or `late` after `segments` segments, or `dead` in one of the ways
    that a killed run can be found. harm: what befalls the memory afterwards.
    """

    world: World
    changes: tuple[tuple[object, ...], ...]
    blind: tuple[str, ...]
    restless: tuple[str, ...]
    order: Order
    settled_before: int | None
    size: int
    segments: int
    ending: str
    harm: str

    @property
    def waiting(self) -> PendingReason:
        late = self.ending == "late"
        return PendingReason.OUT_OF_TIME if late else PendingReason.STOPPED


ENDINGS = ("whole", "whole", "whole", "whole", "stopped", "late", "dead", "dead", "dead at work",
           "dead gathered", "dead renamed", "dead published")  # fmt: skip


def _contents():
    return st.builds(Content, st.sampled_from((*KINDS, "plain", "dicom")), st.integers(0, 2))


def _changes():
    path = st.sampled_from(PATHS)
    return st.one_of(
        st.tuples(st.just("put"), path, _contents()),
        st.tuples(st.just("put"), path, _contents()),
        st.tuples(st.just("delete"), path),
        st.tuples(st.just("touch"), path),
        st.tuples(st.just("rename"), path, path),
        st.tuples(st.just("copy"), path, path),
    )


def _nights():
    usual = World()
    worlds = st.sampled_from([usual] * 6 + [
        World(model="m2"), World(threshold=0.2), World(threshold=0.8), World(program="2"),
        World(limits=1), World(rules="few"), World(model="m2", threshold=0.2),
    ])  # fmt: skip
    rarely = st.sampled_from([None, None, None, None, 25, 45])
    return st.builds(
        Tonight,
        world=worlds,
        changes=st.lists(_changes(), max_size=4).map(tuple),
        blind=st.one_of(st.just(()), st.just(()), st.sampled_from(FOLDERS).map(lambda f: (f,))),
        restless=st.one_of(st.just(()), st.just(()), st.sampled_from(PATHS).map(lambda p: (p,))),
        order=st.sampled_from(Order),
        settled_before=rarely,
        size=st.integers(1, 3),
        segments=st.integers(0, 3),
        ending=st.sampled_from(ENDINGS),
        harm=st.sampled_from(["none"] * 6 + ["torn night", "pruned night", "torn segment"]),
    )  # fmt: skip


def listing_of(
    archive: dict[str, tuple[Content, int]], blind: Iterable[str]
) -> Iterable[ImageLocation]:
    """What the inventory finds: a folder that cannot be listed stands for what it hides."""
    hidden = [folder for folder in blind if any(path.startswith(folder) for path in archive)]
    found = [
        ImageLocation(path, content.size, mtime_ns)
        for path, (content, mtime_ns) in archive.items()
        if not path.startswith(tuple(hidden))
    ]
    found += [ImageLocation(folder, 0, 0) for folder in hidden]
    return sorted(found, key=lambda where: where.path)


def change(archive: dict[str, tuple[Content, int]], clock: int, what: tuple) -> None:
    """What people do to an archive. A copy keeps the time, as `cp -p` and PACS exports do."""
    kind, path = what[:2]
    if kind == "put":
        archive[path] = (what[2], clock)
    elif path not in archive:
        return
    elif kind == "delete":
        del archive[path]
    elif kind == "touch":
        archive[path] = (archive[path][0], clock)
    elif path != what[2]:
        archive[what[2]] = archive[path]
        if kind == "rename":
            del archive[path]


class Simulation:
    """The job's reports folder and the oracle, night by night."""

    def __init__(self, root: Path, filled: Iterable[tuple[str, Content]] = ()) -> None:
        self.root, self.reports = root, LocalReports(root)
        self.archive = {path: (content, 0) for path, content in filled}
        self.oracle = Oracle()
        self.number = 0

    def go(self, tonight: Tonight) -> None:
        self.number += 1
        for step, what in enumerate(tonight.changes):
            change(self.archive, 10 * self.number + step, what)
        if tonight.ending.startswith("dead"):
            self._die(tonight)
        else:
            self._finish(tonight)
        self._harm(tonight.harm)

    def _finish(self, tonight: Tonight) -> None:
        made_with = tonight.world.facts(self.number)
        whole = tonight.ending == "whole"
        night = stored_nights.run_night(
            self.root,
            listing_of(self.archive, tonight.blind),
            made_with,
            fake_read(self.archive, tonight.restless, tonight.world),
            size=tonight.size,
            stop=None if whole else tonight.segments,
            waiting=tonight.waiting,
            order=tonight.order,
            settled_before_ns=tonight.settled_before,
        )
        done = None if whole else tonight.size * tonight.segments
        verdict = self.oracle.night(self.archive, tonight, made_with.run_id, done)
        compare(night, verdict, made_with)
        self.oracle.nights.append((made_with.run_id, verdict.state))
        self.oracle.dead = []

    def _die(self, tonight: Tonight) -> None:
        """A run that is killed: after some segments, in one, gathered, half or fully published."""
        made_with = tonight.world.facts(self.number)
        self.reports.recover()
        plan = stored_nights.plan_of(
            self.root,
            listing_of(self.archive, tonight.blind),
            made_with,
            tonight.order,
            tonight.settled_before,
        )
        staging = self.reports.start(made_with.run_id)
        read = fake_read(self.archive, tonight.restless, tonight.world)
        finished = tonight.ending in ("dead gathered", "dead renamed", "dead published")
        stop = None if finished else tonight.segments
        done, names = stored_nights.run_segments(staging, plan, made_with, read, tonight.size, stop)
        if tonight.ending == "dead at work":
            stored_nights.write_tables(
                staging.segment_at_work(99),
                [stored_nights.image(stored_nights.at("a"), 1.0)],
                made_with,
            )
        verdict = self.oracle.night(self.archive, tonight, made_with.run_id, done)
        if finished:
            gather_night(staging, plan, QueueProgress(done), made_with)
        if tonight.ending == "dead renamed":
            (self.root / "runs").mkdir(exist_ok=True)
            staging.night.rename(self.root / "runs" / made_with.run_id)
        if tonight.ending == "dead published":  # all is told; only the work was not cleared away
            self.reports.publish(staging, {"schema_version": stored_nights.SCHEMA_VERSION})
            self.oracle.nights.append((made_with.run_id, verdict.state))
            self.oracle.dead = []  # whatever lay there was taken up or passed over
            return
        for start in reversed(range(0, done, tonight.size)):
            some = names[start : start + tonight.size]
            segment = {path: verdict.state[path] for path in some}
            self.oracle.dead.insert(0, (tonight.world, segment))

    def _harm(self, harm: str) -> None:
        latest = self.reports.latest()
        if harm == "torn night" and latest:
            part = next((self.reports.night(latest) / "files").iterdir())
            part.write_bytes(part.read_bytes()[:-1])
            self._forget(latest)
        if harm == "pruned night" and latest:
            shutil.rmtree(self.reports.night(latest) / "current", ignore_errors=True)
            self._forget(latest)
        folders = [f for work in self.reports.unpublished() for f in local.committed_segments(work)]
        if harm == "torn segment" and folders and self.oracle.dead:
            newest = max(folder.parent.parent.name for folder in folders)
            first = min(folder for folder in folders if folder.parent.parent.name == newest)
            part = first / "files" / "part-00000.parquet"
            if (self.root / "runs" / newest / "_SUCCESS").exists():
                return
            torn = bytearray(part.read_bytes())
            torn[len(torn) // 2] ^= 1
            part.write_bytes(torn)
            self.oracle.dead.pop(0)

    def _forget(self, run_id: str) -> None:
        self.oracle.nights = [night for night in self.oracle.nights if night[0] != run_id]


def name(row: dict) -> str:
    """A row's file name as the archive has it."""
    raw = row["path_bytes"]
    return row["path"] if raw is None else raw.decode("utf-8", "surrogateescape")


def frame(row: dict) -> int:
    return row["frame_number"] or 1


def compare(night: Night, verdict: Verdict, made_with: RunFacts) -> None:
    """Every published row, against the oracle."""
    assert sorted(night.read) == sorted(verdict.read)
    state = verdict.state
    files = {
        name(row): (
            row["size"], row["mtime_ns"], row["state"], row["reason"], row["content_sha256"],
            row["file_format"], row["frames"], row["frames_scored"], row["frames_unscored"],
            row["attempts"], row["run_id"], row["scoring_fingerprint"], row["program_version"],
        )
        for row in night.rows("files")
    }  # fmt: skip
    assert files == {
        path: (
            k.size, k.mtime_ns, k.state, k.reason, k.digest, k.file_format,
            len(k.shots) + len(k.failures), len(k.shots), len(k.failures), k.attempts, k.run_id,
            f"scoring-{k.world.model}", k.world.program,
        )
        for path, k in state.items()
    }  # fmt: skip
    shots = {(path, f): shot for path, k in state.items() for f, shot in k.shots.items()}
    current = night.rows("current")
    assert judged(current) == {key: _judged(shot, state[key[0]]) for key, shot in shots.items()}
    wrong = [row for row in current if row["run_id"] not in shots[name(row), frame(row)].run_ids]
    assert not wrong
    tonight = {key: shot for key, shot in shots.items() if key[0] in verdict.predictions}
    predictions = night.rows("predictions")
    assert judged(predictions) == {k: _judged(shot, state[k[0]]) for k, shot in tonight.items()}
    assert {row["run_id"] for row in predictions} <= {made_with.run_id}
    alerting = {key for key, shot in tonight.items() if shot.is_alert} | verdict.turned
    alerts = night.rows("alerts")
    assert judged(alerts) == {key: _judged(shots[key], state[key[0]]) for key in alerting}
    assert night.gathered.turned == len(verdict.turned)
    highest = [row["melanoma_score"] for row in alerts]
    assert highest == sorted(highest, reverse=True)
    unscored = {(name(r), frame(r)): (r["reason"], r["run_id"]) for r in night.rows("unscored")}
    assert len(unscored) == len(night.rows("unscored"))
    assert unscored == {(p, f): why for p, k in state.items() for f, why in k.failures.items()}


def judged(found: list[dict]) -> dict[tuple[str, int], tuple]:
    """(path, frame) to what was said of it; the same image twice is an error."""
    answer = {
        (name(row), frame(row)): (
            round(row["melanoma_score"], 6), row["is_alert"], row["threshold"],
            row["operating_point"], row["model_sha256"], row["content_sha256"],
        )
        for row in found
    }  # fmt: skip
    assert len(answer) == len(found)
    return answer


def _judged(shot: Shot, known: Known) -> tuple:
    threshold = shot.threshold
    return (
        round(shot.score, 6), shot.is_alert, threshold, f"at-{threshold}", sha(shot.model),
        known.digest,
    )  # fmt: skip


EXAMPLES = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def without_waiting_for_the_disk():
    """Nothing here pulls the plug: that is `test_storage`'s business."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local.os, "fsync", lambda descriptor: None)
        yield


@EXAMPLES
@given(st.tuples(*[_contents() for _ in PATHS]), st.lists(_nights(), min_size=4, max_size=7))
def test_any_nights_publish_what_plain_dictionaries_say(without_waiting_for_the_disk, filled, some):
    with tempfile.TemporaryDirectory() as folder:
        simulation = Simulation(Path(folder), zip(PATHS, filled, strict=True))
        for tonight in some:
            simulation.go(tonight)


def quiet(**changes: object) -> Tonight:
    """A night without anything special."""
    values: dict[str, object] = {
        "world": World(), "changes": (), "blind": (), "restless": (), "order": Order.PATH,
        "settled_before": None, "size": 2, "segments": 0, "ending": "whole", "harm": "none",
    }  # fmt: skip
    return Tonight(**(values | changes))


FILLED = quiet(changes=tuple(("put", path, Content(kind, 0)) for path, kind in
                             zip(PATHS, KINDS, strict=True)))  # fmt: skip
EXPECTED = [
    # what happens in the second night, and which files it opens
    ("nothing", quiet(), {"d/a", "d/e/b", "d/e/l\udce4sion", "d/e/l\\xe4sion"}),
    ("another model", quiet(world=World(model="m2")),
     {"a", "b", "d/a", "d/e/b", "d/e/l\udce4sion", "d/e/l\\xe4sion"}),
    ("another operating point", quiet(world=World(threshold=0.2)),
     {"d/a", "d/e/b", "d/e/l\udce4sion", "d/e/l\\xe4sion"}),
    ("other rules", quiet(world=World(rules="few")),
     {"b", "d/a", "d/e/b", "d/e/l\udce4sion", "d/e/l\\xe4sion"}),
    ("another program", quiet(world=World(program="2")),
     {"d/a", "d/e/b", "d/e/l\udce4sion", "d/e/l\\xe4sion", "dé"}),
    ("a folder that cannot be listed", quiet(blind=("d/",)), {"d/"}),
]  # fmt: skip


@pytest.mark.parametrize(("tonight", "opened"), [row[1:] for row in EXPECTED],
                         ids=[row[0] for row in EXPECTED])  # fmt: skip
def test_the_second_night_opens_only_what_it_must(tmp_path, tonight, opened):
    """The simulation compares the rest; here the oracle itself is held to plain words."""
    simulation = Simulation(tmp_path)
    simulation.go(FILLED)
    simulation.go(tonight)
    files = stored_nights.rows_of(tmp_path / "latest" / "files")
    last = simulation.reports.latest()
    assert {name(row) for row in files if row["run_id"] == last} == opened


def test_what_failed_three_times_rests_until_something_helps(tmp_path):
    """Nights in a row over every kind of file: how many each opens."""
    simulation = Simulation(tmp_path)
    read = []
    for tonight in (FILLED, quiet(), quiet(), quiet(), quiet(world=World(limits=1)), quiet()):
        simulation.go(tonight)
        last, files = (
            simulation.reports.latest(),
            stored_nights.rows_of(tmp_path / "latest" / "files"),
        )
        read.append(sum(row["run_id"] == last for row in files))
    assert read == [7, 4, 4, 1, 4, 2]


def test_actions_are_closed():
    """Every action that a plan knows occurs in the oracle's words; a new one needs a rule there."""
    assert {a.name for a in Action} == {"KEEP", "READ", "TAKE_UP", "LEAVE_YOUNG", "LEAVE_UNLISTED"}
    assert FileState.REUSED.value == "reused"
