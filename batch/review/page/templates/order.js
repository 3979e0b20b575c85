// Which lesions are listed, in which order and in which groups; and what is derived of a lesion.

const none = (value) => value === null || value === undefined || value === "";
const compareText = new Intl.Collator("en", { numeric: true, sensitivity: "base" }).compare;
const LEAST_CHANGE = 0.45; // in log odds: odds half as high again
const NEWS = ["newTonight", "newImage", "changed"];

const view = {
  route: "gallery", patient: null, lesion: null, filters: new Set(), site: "", text: "", order: "rank", down: false,
};
const fresh = new Set(); // keys marked since the page was opened: they keep their places
let listed = []; // lesions, filtered and sorted

const isRanked = (lesion) => lesion.score !== null && !["unreadable", "unreliable"].includes(lesion.tier);
const margin = (lesion) => distance(lesion.score, lesion.threshold);
const wasOpen = (lesion) => lesion.status !== "reviewed";

// The image with the highest score; of equal ones the first by name, as the run decides.
function highest(images) {
  return images.reduce((top, each) => {
    const by = (each.score ?? -1) - (top.score ?? -1);
    return by > 0 || (by === 0 && each.id < top.id) ? each : top;
  }, images[0]);
}

const scoredImages = (lesion) => lesion.images.filter((image) => image.score !== null);
const carrier = (lesion) => (scoredImages(lesion).length ? highest(scoredImages(lesion)) : null);
const hasPicture = (image) => pictureSource(image) !== null;

// The picture that stands for a lesion: the one that carries its score, else any that can be shown.
function face(lesion) {
  const best = carrier(lesion);
  if (best && hasPicture(best)) return best;
  const others = lesion.images.filter(hasPicture);
  return others.length ? highest(others) : null;
}

// How far the score has moved, in log odds: from visit to visit, else from night to night. null
// where the two scores cannot be compared.
function movement(lesion) {
  const dated = scoredImages(lesion).filter((image) => image.taken);
  const last = dated.at(-1);
  const before = last && dated.filter((image) => image.taken.slice(0, 10) < last.taken.slice(0, 10)
    && image.threshold === last.threshold && image.model === last.model).at(-1);
  if (before) {
    const [now, then] = [last, before].map((image) => distance(image.score, image.threshold));
    return { by: now - then, before: then, now, since: day(before.taken) };
  }
  if (lesion.previous === null || lesion.score === null || lesion.previous_model !== lesion.model) return null;
  const then = distance(lesion.previous, lesion.threshold);
  return { by: margin(lesion) - then, before: then, now: margin(lesion), since: t("lastNight") };
}

const FALLEN_FLAGS = ["below_threshold_now", "no_longer_readable", "left_archive", "image_gone"];

const IS = {
  newTonight: (lesion) => lesion.status === "new",
  newImage: (lesion) => ["image_added", "image_replaced"].some((flag) => lesion.flags.includes(flag)),
  changed: (lesion) => lesion.status === "reopened" || FALLEN_FLAGS.some((flag) => lesion.flags.includes(flag))
    || Math.abs(movement(lesion)?.by ?? 0) >= LEAST_CHANGE,
};
TIERS.forEach((tier) => { IS[tier] = (lesion) => lesion.tier === tier; });

const isNews = new Map(NEWS.map((name) => [name, new Set(lesions.filter(IS[name]))]));
const is = (name, lesion) => (isNews.has(name) ? isNews.get(name).has(lesion) : IS[name](lesion));

// Value to sort by, and whether the largest comes first.
const ORDERS = {
  rank: { of: (lesion) => lesion.rank, text: "byRank" },
  score: { of: margin, down: true, text: "byScore" },
  change: { of: (lesion) => movement(lesion)?.by, down: true, text: "byChange" },
  date: { of: (lesion) => lesion.acquired, down: true, text: "byDate" },
  patient: { of: (lesion) => lesion.patient_label, text: "byPatient" },
  site: { of: (lesion) => lesion.site, text: "bySite" },
  label: { of: (lesion) => lesion.label, text: "byLesion" },
  images: { of: (lesion) => lesion.image_count, down: true, text: "byImages" },
  mark: { of: (lesion) => decisionWord(review(lesion).mark), text: "byMark" },
};

function decisionWord(mark) {
  if (!mark) return null;
  return DECISIONS.includes(mark.decision) ? t(mark.decision) : shown(mark.decision);
}

const words = new Map(); // lesion to what a search looks through

function wordsOf(lesion) {
  if (!words.has(lesion)) {
    const parts = [lesion.key, lesion.label, lesion.site, lesion.side, lesion.reason, lesion.status, lesion.tier];
    parts.push(lesion.accession, ...lesion.flags, ...lesion.study_uids, siteName(lesion));
    parts.push(lesion.patient, lesion.patient_label, lesion.patient_id, lesion.issuer);
    for (const image of lesion.images) parts.push(image.path, image.id);
    for (const file of lesion.unread) parts.push(file.path, file.reason);
    words.set(lesion, parts.filter((part) => !none(part)).join("\n").toLowerCase());
  }
  return words.get(lesion);
}

function matchesText(lesion) {
  const wanted = view.text.trim().toLowerCase().split(/\s+/).filter(Boolean);
  return wanted.every((word) => wordsOf(lesion).includes(word));
}

function matches(lesion) {
  const closed = review(lesion).closed;
  if (view.filters.has("reviewed") ? !closed : closed && !fresh.has(lesion.key)) return false;
  for (const group of [NEWS, TIERS]) {
    const asked = group.filter((name) => view.filters.has(name));
    if (asked.length && !asked.some((name) => is(name, lesion))) return false;
  }
  if (view.site && (lesion.site ?? "") !== (view.site === "-" ? "" : view.site.slice(1))) return false;
  return matchesText(lesion);
}

// What is not known stands last in either direction; equal ones by rank.
function sorted(chosen) {
  const { of } = ORDERS[view.order];
  const values = new Map(chosen.map((lesion) => [lesion, of(lesion)]));
  return chosen.sort((one, other) => {
    const [a, b] = [values.get(one), values.get(other)];
    if (none(a) || none(b)) return none(a) - none(b) || one.rank - other.rank;
    const by = typeof a === "number" ? a - b : compareText(a, b);
    return (view.down ? -by : by) || one.rank - other.rank;
  });
}

const isPlain = () => !view.filters.size && !view.site && !view.text.trim() && view.order === "rank" && !view.down;
const openAtFirst = lesions.filter(wasOpen);
const rankedAtFirst = openAtFirst.filter(isRanked);
const work = new Set(rankedAtFirst.slice(0, data.budget));
const hasAlerts = openAtFirst.some((lesion) => lesion.tier === "alert");

// [{ name, lesions }]: tonight's work, what has no score, what lies beyond; one group where a
// person filters or sorts. `listed` is set to all of them, one after the other.
function choose() {
  const chosen = sorted(lesions.filter(matches));
  let groups;
  if (!isPlain()) {
    groups = [{ name: "flat", lesions: chosen }];
  } else {
    const ranked = chosen.filter(isRanked);
    groups = [
      { name: "work", lesions: ranked.filter((lesion) => work.has(lesion)) },
      { name: "noScore", lesions: chosen.filter((lesion) => !isRanked(lesion)) },
      { name: "beyond", lesions: ranked.filter((lesion) => !work.has(lesion)) },
    ];
  }
  groups = groups.filter((group) => group.lesions.length);
  listed = groups.flatMap((group) => group.lesions);
  return groups;
}

function countOf(name) {
  if (name === "reviewed") return lesions.filter((lesion) => review(lesion).closed).length;
  return lesions.filter((lesion) => !review(lesion).closed && (name === "all" || is(name, lesion))).length;
}

// Lesions of each patient, by its key; the highest-ranked patient first.
const byPatient = new Map();
for (const lesion of lesions) {
  if (lesion.patient === null) continue;
  if (!byPatient.has(lesion.patient)) byPatient.set(lesion.patient, []);
  byPatient.get(lesion.patient).push(lesion);
}
