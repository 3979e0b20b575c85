// What cards, rows, the lesion's view and the printed sheets are put together from.

const LOW = -4, HIGH = 9.5; // ends of the scale, in log odds from the alert line
const place = (value) => `${Math.min(100, Math.max(0, (100 * (value - LOW)) / (HIGH - LOW)))}%`;
const SIDES = { l: "left", left: "left", r: "right", right: "right", b: "both", bilateral: "both", both: "both", m: "midline", midline: "midline", median: "midline" };

function siteName(lesion) {
  if (!lesion.site) return lesion.side ? sideName(lesion) : "";
  const plain = shown(lesion.site);
  const word = TEXT[language].sites?.[plain.toLowerCase()] ?? plain;
  const name = word.charAt(0).toUpperCase() + word.slice(1);
  return lesion.side ? `${name}, ${sideName(lesion)}` : name;
}

function sideName(lesion) {
  const side = SIDES[(lesion.side ?? "").toLowerCase()];
  return side ? t(side) : shown(lesion.side);
}

// Who it is, as far as the night's level of identifiers tells: patient, site and side, lesion.
function names(lesion) {
  const site = siteName(lesion) || t("notStated");
  if (lesion.patient_label) return [shown(lesion.patient_label), site, shown(lesion.label)];
  return [shown(lesion.label), site, t("unknownPatient")];
}

const who = (lesion) => names(lesion).join(" · ");

function whoLine(lesion) {
  const [main, site, end] = names(lesion);
  return element("div", { class: "who" }, element("b", {}, main), element("span", {}, site), element("em", { title: end }, end));
}

function tierMark(lesion) {
  const tier = lesion.tier;
  return element("span", { class: `tier ${tier}` }, element("i", { class: `dot ${tier}` }), t(tier));
}

// The address of an image's picture; null where there is none.
function pictureSource(image) {
  if (image.picture) {
    const { source } = image.picture;
    return desk && !source.startsWith("data:") ? `/pictures/${source.split("/").at(-1)}` : source;
  }
  return originalOf(image, 1600);
}

function pictureWords(image) {
  if (image.withheld) return t("noPictureBurned");
  return image.left ? t("noPictureLeft") : t("noPictureHere");
}

function picture(image, alt, attributes = {}) {
  return element("img", {
    src: pictureSource(image), alt, decoding: "async", draggable: "false",
    onerror: (event) => event.target.replaceWith(element("span", { class: "no-picture" }, t("pictureGone"))), ...attributes,
  });
}

function missing(lesion) {
  const unread = !lesion.images.length && lesion.unread.length > 0;
  const words = unread ? reasonWords(lesion) : lesion.images.length ? pictureWords(carrier(lesion) ?? lesion.images[0]) : t("noPictureLeft");
  return element("div", { class: "nopic" }, icon("broken"), element("b", {}, unread ? t("unreadable") : t("noPicture")), " ", element("span", {}, words));
}

const reasonWords = (lesion) => [...new Set(lesion.unread.map((file) => shown(file.reason).replaceAll("_", " ")))].join(", ");

function value(lesion, image = null) {
  return signed(image ? distance(image.score, image.threshold) : margin(lesion));
}

// The score as a place on a line: tick = alert line, dot = value, rings = other pictures of the
// lesion, hair lines = the other open lesions.
function axis(lesion, rings, hairs) {
  const at = margin(lesion);
  const [zero, mine] = [place(0), place(at)].map(parseFloat);
  const best = carrier(lesion);
  const others = rings ? scoredImages(lesion).filter((image) => image !== best) : [];
  return element("div", { class: `ax c-${lesion.tier}` },
    element("span", { class: "tr" }),
    element("span", { class: "fl", style: { left: `${Math.min(zero, mine)}%`, width: `${Math.abs(mine - zero)}%` } }),
    others.map((image) => element("span", { class: "gh", style: { left: place(distance(image.score, image.threshold)) }, title: `${day(image.taken)} ${value(lesion, image)}` })),
    element("span", { class: "tk", style: { left: place(0) } }),
    element("span", { class: "pt", style: { left: place(at) } }),
    hairs ? rankedAtFirst.slice(0, 200).filter((each) => each !== lesion).map((each) => element("i", { class: "rug", style: { left: place(margin(each)) } })) : []);
}

function scale(lesion, rings = false) {
  if (margin(lesion) === null) return element("div", { class: "sc without" }, t("noValue"));
  return element("div", { class: "sc", role: "img", "aria-label": t("valueAria", t(lesion.tier), value(lesion)) },
    element("span", { class: `v ${lesion.tier}` }, value(lesion)), axis(lesion, rings, false));
}

function largeScale(lesion) {
  if (margin(lesion) === null) return null;
  return element("div", { class: "sc xl", role: "img", "aria-label": t("valueAria", t(lesion.tier), value(lesion)) }, axis(lesion, true, true),
    element("div", { class: "axl", "aria-hidden": "true" },
      element("span", { style: { left: place(0) } }, `0 ${t("line")}`), element("span", { style: { left: place(4.5) } }, signed(4.5)), element("span", {}, "+9")));
}

function badges(lesion) {
  const image = face(lesion);
  const instead = image && image !== carrier(lesion) ? element("span", { class: "badge" }, t("notScored")) : null;
  if (review(lesion).closed) return [instead];
  const news = NEWS.find((name) => is(name, lesion));
  return [instead, news ? element("span", { class: "badge" }, news === "changed" && lesion.status === "reopened" ? t("reopened") : t(news)) : null,
    lesion.is_outlier ? element("span", { class: "badge" }, t("standsOutShort")) : null];
}

// One line below a card: what moved, or when it was taken, or since when it waits.
function footWords(lesion) {
  const moved = movement(lesion);
  if (moved && Math.abs(moved.by) >= LEAST_CHANGE) return t("scoreSince", signed(moved.by), moved.since);
  if (lesion.acquired) return t("takenOn", day(lesion.acquired));
  return lesion.status === "open" ? t("openSince", day(lesion.first_listed_at)) : "";
}

const KIND_OF_DECISION = { call_back: "phone", follow_up: "clock", no_action: "minus", new_image: "camera" };

function markStrip(lesion) {
  const { mark, closed } = review(lesion);
  if (!closed) return null;
  return element("div", { class: "marked" }, icon(KIND_OF_DECISION[mark.decision] ?? "minus"),
    element("span", {}, [decisionWord(mark), shown(mark.reviewer)].filter(Boolean).join(" · ")));
}

// Flags of a picture that cannot be judged, whatever its score.
const DOUBTS = ["blurry", "overexposed", "underexposed", "nearly_uniform", "not_dermoscopy", "outside_training_domain"];

// From here on a change of the score by turning the picture is told, also where it crosses no line.
const LEAST_SPREAD = 0.2;

// Why it stands here, in plain sentences of the reader's language.
function why(lesion) {
  if (lesion.tier === "unreadable") return [t("whyUnreadable", reasonWords(lesion) || "?"), t("whatNow")];
  const told = [];
  const count = lesion.images.length;
  const best = carrier(lesion);
  const dated = scoredImages(lesion).filter((image) => image.taken);
  if (lesion.flags.includes("left_archive")) told.push(t("whyLeft"));
  else if (lesion.flags.includes("no_longer_readable")) told.push(t("whyGone"));
  else if (lesion.flags.includes("below_threshold_now")) told.push(t("whyOldAlert"));
  else if (lesion.tier === "unreliable") told.push(t("whyUnreliable", value(lesion)));
  else if (lesion.tier === "near_threshold") told.push(t("whyNear", value(lesion)));
  else if (count === 1) told.push(t("whyOnly"));
  else if (dated.length === count && best === dated.at(-1)) told.push(t("whyNewest", count));
  else if (dated.length === count && best) told.push(t("whyOlder", day(best.taken), value(lesion, dated.at(-1))));
  else told.push(t("whySome", count));
  if (lesion.spread !== null && (lesion.spread >= LEAST_SPREAD || lesion.spread >= Math.abs(lesion.margin ?? 1))) {
    told.push(t(lesion.spread >= Math.abs(lesion.margin ?? 1) ? "whySpreadOver" : "whySpread", decimals(lesion.spread, 2)));
  }
  DOUBTS.forEach((flag) => { if (lesion.flags.includes(flag)) told.push(t(`doubt_${flag}`)); });
  const moved = movement(lesion);
  if (moved && Math.abs(moved.by) >= LEAST_CHANGE) told.push(t(moved.by > 0 ? "whyRisen" : "whyFallen", moved.since, signed(moved.before), signed(moved.now)));
  if (lesion.previous !== null && lesion.previous_model !== lesion.model) told.push(t("whyNewModel", shown(lesion.previous_model)));
  if (lesion.unreadable_count) told.push(t("whyPartly", lesion.unreadable_count));
  if (lesion.is_outlier) told.push(`${t("standsOut", lesion.lesions_of_patient)}.`);
  return told;
}
