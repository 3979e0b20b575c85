// Marks: what a person decided. One entry of localStorage a lesion, under the archive's name, so
// that other archives' pages and other windows never overwrite each other.

const PREFIX = `melanoma-batch/mark/${data.archive}/`;
const SETTINGS = "melanoma-batch/settings/";
const EXPORTED = `melanoma-batch/exported/${data.archive}`; // when marks last went into a file
const REOPEN = "reopen"; // the decision that takes an earlier mark back
const memory = new Map(); // where the browser keeps nothing
let keeps = true;

function stored(key) {
  if (memory.has(key)) return memory.get(key);
  try {
    return localStorage.getItem(key);
  } catch {
    keeps = false;
    return null;
  }
}

function store(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
    memory.delete(key);
  } catch {
    keeps = false;
    if (value === null) memory.delete(key);
    else memory.set(key, value);
  }
  if (!keeps) tell(t("keepsNothing"), true);
}

function storedKeys() {
  try {
    const kept = [...Array(localStorage.length).keys()].map((at) => localStorage.key(at));
    return [...new Set([...kept, ...memory.keys()])];
  } catch {
    return [...memory.keys()];
  }
}

// A mark from elsewhere (storage, a file), or null: strings and numbers of the right kind only.
function soundMark(found) {
  if (typeof found !== "object" || found === null) return null;
  const { decision, reviewer, reviewed_at, score, image_count, diagnosis, comment } = found;
  if (typeof decision !== "string" || !decision.trim()) return null;
  if (typeof reviewed_at !== "string" || !when(found)) return null;
  const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);
  const text = (value, most) => (typeof value === "string" ? value.slice(0, most) : "");
  return {
    decision: decision.slice(0, 200),
    reviewer: text(reviewer, 200),
    diagnosis: text(diagnosis, 200),
    comment: text(comment, 2000),
    reviewed_at: reviewed_at.slice(0, 60),
    score: number(score),
    image_count: number(image_count),
  };
}

const marks = new Map(); // lesion key to mark, of this browser
const drafts = new Map(); // lesion key to diagnosis and comment that are typed and not marked yet
const DRAFTS = `melanoma-batch/draft/${data.archive}/`; // they outlive a reload

function keepDraft(key, draft) {
  if (draft === null) drafts.delete(key); else drafts.set(key, draft);
  store(DRAFTS + key, draft === null ? null : JSON.stringify(draft));
}

function loadDrafts() {
  for (const key of storedKeys().filter((each) => each.startsWith(DRAFTS))) {
    try {
      const { diagnosis, comment } = JSON.parse(stored(key));
      drafts.set(key.slice(DRAFTS.length), { diagnosis, comment });
    } catch { /* nothing that this page wrote */ }
  }
}

function readMark(key) {
  try {
    return soundMark(JSON.parse(stored(PREFIX + key)));
  } catch {
    return null;
  }
}

function loadMarks() {
  if (desk) return; // it tells them itself
  marks.clear();
  for (const key of storedKeys()) {
    if (!key.startsWith(PREFIX)) continue;
    const mark = readMark(key.slice(PREFIX.length));
    if (mark !== null) marks.set(key.slice(PREFIX.length), mark);
  }
}

function keepMark(key, mark) {
  if (desk) { sendMark(key, mark); return; }
  if (mark === null) marks.delete(key);
  else marks.set(key, mark);
  store(PREFIX + key, mark === null ? null : JSON.stringify(mark));
}

// Milliseconds as ISO 8601 in the zone of the page, which is that of the machine that made it.
function localIso(milliseconds) {
  const minutes = data.offset_minutes ?? 0;
  const pad = (value) => String(Math.floor(value)).padStart(2, "0");
  const offset = (minutes < 0 ? "-" : "+") + pad(Math.abs(minutes) / 60) + ":" + pad(Math.abs(minutes) % 60);
  return new Date(milliseconds + minutes * 60_000).toISOString().slice(0, -1) + offset;
}

// Milliseconds, 0 when it is no time. As the run reads it: without offset the machine's own time, a
// date alone is that whole day.
function when(mark) {
  const parts = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?))? ?(Z|[+-]\d\d:?\d\d)?$/i
    .exec(mark.reviewed_at.trim());
  if (!parts) return 0;
  const [, day, time = "23:59:59.999", offset = localIso(0).slice(-6)] = parts;
  return Date.parse(`${day}T${time.replace(",", ".")}${offset.toUpperCase()}`) || 0;
}

// The newest of two marks, either may be null.
function newer(one, other) {
  if (one === null || other === null) return one ?? other;
  return when(other) > when(one) ? other : one;
}

// The run's mark with diagnosis and comment, which a night passes over, where this browser made it.
function withWords(run, own) {
  if (run === null || own === null || when(run) !== when(own)) return run;
  return { ...run, diagnosis: own.diagnosis, comment: own.comment };
}

// Whether a mark of this browser has not seen what the lesion is now; why, a key of `reopenedBy`.
function unseen(mark, lesion) {
  if (mark.score !== null && lesion.score !== null && lesion.score > mark.score + data.rise) return "score";
  if (mark.image_count !== null && lesion.image_count > mark.image_count) return "image";
  if (mark.image_count !== null && mark.score === null && lesion.score !== null) return "read";
  return when(mark) < Date.parse(data.night) && is("newImage", lesion) ? "image" : "";
}

// What is known of a lesion's review. mark: the newest, or null. closed: it still holds. why: it
// holds no longer, a key of `reopenedBy`. own: it was made in this browser.
function review(lesion) {
  const own = marks.get(lesion.key) ?? null;
  const run = withWords(lesion.mark, own);
  const mark = newer(run, own);
  const state = { mark, own: mark !== null && mark === own, closed: false, why: "" };
  if (mark === null) return state;
  if (mark.decision.toLowerCase() === REOPEN) {
    state.why = "back";
  } else if (mark === run) {
    state.closed = mark.closes;
    if (!state.closed) state.why = "run";
  } else {
    state.why = unseen(mark, lesion);
    state.closed = !state.why;
  }
  return state;
}

// Everything that reviewed.csv must hold, so that it may replace the one before: what was marked
// here, and what the run had read already.
function allMarks() {
  const all = new Map(data.kept_marks.map(({ key, ...mark }) => [key, mark]));
  for (const lesion of lesions) if (lesion.mark !== null) all.set(lesion.key, lesion.mark);
  for (const [key, mark] of marks) all.set(key, newer(withWords(all.get(key) ?? null, mark), mark));
  return all;
}
