// Which lesions are listed, and in which order.

const none = (value) => value === null || value === undefined || value === "";
const compareText = new Intl.Collator("en", { numeric: true, sensitivity: "base" }).compare;

// Value to sort by, and whether the first click gives the largest first.
const ORDERS = {
  rank: { of: (lesion) => lesion.rank },
  label: { of: (lesion) => lesion.label },
  tier: { of: (lesion) => data.tiers.findIndex((tier) => tier.value === lesion.tier) },
  score: { of: (lesion) => lesion.score, down: true },
  change: { of: (lesion) => lesion.change, down: true },
  site: { of: (lesion) => lesion.site },
  patient: { of: (lesion) => lesion.patient },
  date: { of: (lesion) => lesion.acquired, down: true },
  images: { of: (lesion) => lesion.image_count, down: true },
  mark: { of: (lesion) => DECISIONS.get(review(lesion).mark?.decision) ?? review(lesion).mark?.decision },
};

const view = { order: "rank", down: false, tiers: new Set(TIERS.keys()), state: "", site: "", patient: "", text: "" };
let listed = []; // lesions, filtered and sorted

const patients = new Set(lesions.map((lesion) => lesion.patient).filter((patient) => !none(patient)));
const words = new Map();

function wordsOf(lesion) {
  if (!words.has(lesion)) {
    const parts = [lesion.key, lesion.label, lesion.site, lesion.side, lesion.reason, lesion.status];
    parts.push(lesion.accession, ...lesion.flags, ...lesion.study_uids);
    parts.push(lesion.patient, lesion.patient_label, lesion.patient_id, lesion.issuer);
    for (const image of lesion.images) parts.push(image.path, image.id);
    words.set(lesion, parts.filter((part) => !none(part)).join("\n").toLowerCase());
  }
  return words.get(lesion);
}

function matches(lesion) {
  if (!view.tiers.has(lesion.tier)) return false;
  if (view.state && (view.state === "reviewed") !== review(lesion).closed) return false;
  if (view.site && (lesion.site ?? "") !== (view.site === "-" ? "" : view.site.slice(1))) return false;
  if (patients.has(view.patient)) { // "patient-1" is not "patient-10"
    if (lesion.patient !== view.patient) return false;
  } else if (view.patient) {
    const patient = [lesion.patient, lesion.patient_label, lesion.patient_id].map((name) => name ?? "");
    if (!patient.join("\n").toLowerCase().includes(view.patient.trim().toLowerCase())) return false;
  }
  const wanted = view.text.trim().toLowerCase();
  return !wanted || wordsOf(lesion).includes(wanted);
}

// What is not known stands last in either direction; equal ones by rank.
function compare(one, other) {
  const { of } = ORDERS[view.order];
  const [a, b] = [of(one), of(other)];
  if (none(a) || none(b)) return none(a) - none(b) || one.rank - other.rank;
  const by = typeof a === "number" ? a - b : compareText(a, b);
  return (view.down ? -by : by) || one.rank - other.rank;
}

function choose() {
  listed = lesions.filter(matches).sort(compare);
}

function sortBy(order, down = undefined) {
  if (down !== undefined) view.down = down;
  else view.down = view.order === order ? !view.down : Boolean(ORDERS[order].down);
  view.order = order;
}
