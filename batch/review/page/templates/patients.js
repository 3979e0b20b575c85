// Patients: all of them, and one with a body map and a table of lesions by visits.

const patientsFlow = new Flow(byId("patients-flow"), { head: 54, cards: 160, none: 300 });

// The right half of a figure 200 wide, drawn once and mirrored.
const HALF = "M100 10C112 10 120 19 120 32C120 44 115 53 109 58L110 72C116 79 134 80 144 85C153 90 158 100 160 113"
  + "C164 138 172 176 181 212C185 222 190 232 190 243C190 252 184 260 178 255C172 250 172 236 170 227C163 204 154 180 150 158"
  + "L144 130C143 146 139 158 138 172C138 190 145 204 147 224C149 250 144 278 140 300C137 318 139 334 136 352C133 374 128 394 126 408"
  + "C126 418 134 424 132 429C129 434 112 434 111 427C110 416 113 410 112 402C110 382 108 366 109 348C110 318 108 276 100 238Z";
// Site to view (f, b), distance from the middle towards the side, and height, on that figure.
const PLACES = [
  [/palms?\/soles?|oral\/genital/, null], [/sole|plantar/, "f", 22, 424], [/palm|hand|finger|thumb/, "f", 82, 244],
  [/scalp/, "b", 7, 22], [/forehead/, "f", 0, 20], [/ear\b/, "f", 20, 36], [/nose|lip|oral|mouth|chin|face/, "f", 3, 40], [/cheek/, "f", 10, 40],
  [/head|neck/, "f", 5, 62], [/shoulder/, "b", 42, 94], [/lower back|lumbar|buttock|gluteal/, "b", 16, 186], [/posterior torso|back/, "b", 20, 124],
  [/breast|chest|thorax/, "f", 22, 116], [/abdomen|belly|groin|genital|pubic/, "f", 14, 180], [/lateral torso|flank/, "f", 36, 158], [/anterior torso|torso|trunk/, "f", 18, 150],
  [/wrist|forearm|lower arm/, "f", 70, 204], [/elbow/, "f", 62, 170], [/arm|upper extremity|axilla/, "f", 56, 138],
  [/foot|toe|ankle|heel|plantar/, "f", 22, 424], [/knee/, "f", 25, 322], [/calf/, "b", 24, 356], [/lower leg|shin/, "f", 24, 362], [/hip/, "f", 34, 226], [/thigh|leg|lower extremity/, "f", 26, 282],
];
const WIDE = 206; // of one figure with its margin

function spot(lesion) {
  const found = PLACES.find(([pattern]) => pattern.test((lesion.site ?? "").toLowerCase()));
  if (!found || found[1] === null) return null;
  const [, facing, out, height] = found;
  const side = SIDES[(lesion.side ?? "").toLowerCase()];
  const towards = (side === "left" ? 1 : side === "right" ? -1 : 0) * (facing === "b" ? -1 : 1); // seen from the front, left is right
  return { facing, x: (facing === "b" ? WIDE : 0) + 100 + towards * out, y: height };
}

// Spots of several lesions at one site stand one below the other.
function spots(group) {
  const taken = new Map();
  return group.flatMap((lesion, at) => {
    const found = spot(lesion);
    if (!found) return [];
    const name = `${found.x} ${found.y}`;
    const before = taken.get(name) ?? 0;
    taken.set(name, before + 1);
    return [{ lesion, number: at + 1, x: found.x + (before % 2 ? 17 : 0), y: found.y + 26 * Math.floor((before + 1) / 2) - (before % 2 ? 9 : 0) }];
  });
}

function figure(offset, words) {
  return drawing("g", { transform: `translate(${offset} 0)` },
    drawing("g", { class: "skin" }, drawing("path", { d: HALF }), drawing("path", { d: HALF, transform: "matrix(-1 0 0 1 200 0)" })),
    drawing("path", { class: "seam", d: "M99 12h2v226h-2z" }),
    words.map(([text, x, y]) => drawing("text", { x, y, "text-anchor": "middle" }, text)));
}

function bodyMap(group, small = false) {
  const front = small ? [] : [[t("front"), 100, 452], [t("rightShort"), 14, 150], [t("leftShort"), 186, 150]];
  const back = small ? [] : [[t("backView"), 100, 452], [t("leftShort"), 14, 150], [t("rightShort"), 186, 150]];
  const dots = spots(group).map(({ lesion, number, x, y }) => drawing("g", {
    class: `d ${lesion.tier}`, "data-spot": lesion.key,
    ...(small ? {} : { role: "link", tabindex: "0", "aria-label": `${number}: ${who(lesion)}, ${t(lesion.tier)}`,
      onclick: () => { location.hash = lesionHash(lesion); },
      onkeydown: (event) => { if (event.key === "Enter") location.hash = lesionHash(lesion); } }),
  }, lesion.is_outlier ? drawing("circle", { class: "o", cx: x, cy: y, r: 18 }) : null,
  drawing("circle", { class: "m", cx: x, cy: y, r: 12.5 }),
  small ? null : drawing("text", { x, y: y + 5, "aria-hidden": "true" }, String(number))));
  return drawing("svg", { class: "bm", viewBox: `0 0 ${2 * WIDE - 6} ${small ? 440 : 458}`, ...(small ? { "aria-hidden": "true" } : { role: "group", "aria-label": t("bodyMap") }) },
    figure(0, front), figure(WIDE, back), dots);
}

// Listed lesions of a person, and of how many with a score where more are known.
function howMany(group) {
  const known = Math.max(...group.map((lesion) => lesion.lesions_of_patient ?? 0));
  return known > group.length ? t("listedOf", group.length, known) : t("lesions", group.length);
}

const patientTitle = (group) => shown(group[0].patient_label);
const isShownPatient = (group) => !view.text.trim() || group.some(matchesText);

function patientCard(key, group) {
  const faces = group.map(face).filter(Boolean).slice(0, 5);
  const alerts = group.filter((lesion) => lesion.tier === "alert" && !review(lesion).closed).length;
  return element("a", { class: "pcard", href: patientHash(key) }, bodyMap(group, true),
    element("div", {}, element("h3", {}, patientTitle(group)),
      element("p", {}, `${howMany(group)} · ${t("alertsCount", alerts)}`,
        group.some((lesion) => lesion.is_outlier) ? element("b", {}, ` · ${t("standsOutShort")}`) : null),
      element("div", { class: "th" }, faces.map((image) => picture(image, "", { loading: "lazy" })))));
}

function noPatients() {
  return element("div", { class: "empty", id: "no-patients" }, icon("person"), element("h2", {}, t("noPatients")), element("p", {}, t("noPatientsMore")));
}

function drawPatients() {
  const box = byId("patients-flow");
  const groups = [...byPatient].filter(([, group]) => isShownPatient(group));
  const unknown = lesions.filter((lesion) => lesion.patient === null).length;
  const wide = Math.max(1, Math.floor(((box.clientWidth || window.innerWidth) + GAP) / (420 + GAP)));
  const entries = [{ kind: "head", make: () => element("div", { class: "sec" },
    element("h2", {}, t("patientsCount", count(groups.length))), element("p", {}, [t("byHighest"), unknown ? t("withoutPatient", unknown) : ""].filter(Boolean).join(" · "))) }];
  if (!groups.length) entries.push({ kind: "none", make: byPatient.size ? nothingFound : noPatients });
  for (let at = 0; at < groups.length; at += wide) {
    const part = groups.slice(at, at + wide);
    entries.push({ kind: "cards", make: () => element("div", { class: "grid plist", style: { "grid-template-columns": `repeat(${wide}, minmax(0, 1fr))` } },
      part.map(([key, group]) => patientCard(key, group))) });
  }
  patientsFlow.show(entries);
}

const visitDay = (image) => (image.taken ? image.taken.slice(0, 10) : "");

// A table of lesions (rows) by visits (columns), newest on the right.
function matrix(group) {
  const days = [...new Set(group.flatMap((lesion) => lesion.images.map(visitDay)))].sort().slice(-8);
  const light = (lesion, isOn) => all(`[data-spot="${CSS.escape(lesion.key)}"]`).forEach((dot) => dot.classList.toggle("on", isOn));
  const cells = group.flatMap((lesion, at) => {
    const mark = review(lesion);
    const odd = lesion.is_outlier ? " out" : "";
    return [element("div", { class: "row-of", role: "row", "data-key": lesion.key, onmouseenter: () => light(lesion, true), onmouseleave: () => light(lesion, false) },
      element("div", { class: `l${odd}`, role: "rowheader" }, element("b", {}, `${at + 1}. `, element("a", { class: "open", href: lesionHash(lesion) }, shown(lesion.label))),
        element("span", {}, siteName(lesion) || t("notStated")), tierMark(lesion),
        lesion.is_outlier ? element("span", { class: "tag near" }, t("standsOut", lesion.lesions_of_patient)) : null,
        mark.closed ? element("span", { class: "tag plain" }, decisionWord(mark.mark)) : null),
      days.map((when) => element("div", { class: `vis${odd}`, role: "cell" }, visit(lesion, when))),
      element("div", { class: `sx${odd}`, role: "cell" }, scale(lesion, true)))];
  });
  const heads = [t("lesion"), ...days.map((when) => (when ? day(when) : t("undated"))), t("scoreHeading")];
  return element("div", { class: "mx", role: "table", "aria-label": t("lesions", group.length), style: { "--n": String(days.length) } },
    element("div", { class: "row-of", role: "row" }, heads.map((text, at) => element("div", { class: at === heads.length - 1 ? "h sxh" : "h", role: "columnheader" }, text))), cells);
}

function visit(lesion, when) {
  const images = lesion.images.filter((image) => visitDay(image) === when);
  if (!images.length) return element("span", { class: "no" }, lesion.tier === "unreadable" && !lesion.images.length && !when ? t("unreadable") : "–");
  const image = highest(images);
  return element("a", { href: lesionHash(lesion, image) }, element("div", { class: "im" },
    hasPicture(image) ? picture(image, `${shown(lesion.label)}, ${when ? day(when) : t("dateUnknown")}`, { loading: "lazy" }) : element("span", { class: "ph" }, icon("broken")),
    image.score === null ? null : element("span", { class: "s num" }, value(lesion, image), images.length > 1 ? ` · ${t("pictures", images.length)}` : "")));
}

function drawPatient() {
  const group = byPatient.get(view.patient);
  const keys = [...byPatient.keys()];
  const at = keys.indexOf(view.patient);
  const beside = (step, before) => {
    const key = keys[at + step];
    if (key === undefined) return null;
    const name = patientTitle(byPatient.get(key));
    return element("a", { class: "btn", href: patientHash(key) }, before ? icon("left") : "", name, before ? "" : icon("right"));
  };
  const days = new Set(group.flatMap((lesion) => lesion.images.map(visitDay)).filter(Boolean));
  const odd = group.find((lesion) => lesion.is_outlier);
  const unplaced = group.filter((lesion) => spot(lesion) === null);
  byId("patient-view").replaceChildren(
    element("div", { class: "phead" }, element("a", { class: "btn icon", href: "#patients", "aria-label": t("back") }, icon("left")),
      element("div", {}, element("h2", {}, patientTitle(group)), element("p", {}, [howMany(group), days.size ? t("visits", days.size) : ""].filter(Boolean).join(" · "),
        odd ? element("b", {}, ` · ${shown(odd.label)} ${t("standsOutShort")}`) : null)),
      element("span", { class: "grow" }), beside(-1, true), beside(1, false),
      element("button", { type: "button", class: "btn quiet icon", "aria-label": t("print"), onclick: printSheet }, icon("print"))),
    element("div", { class: "pcols" },
      element("div", { class: "box map" }, bodyMap(group),
        element("div", { class: "lg" }, [...new Set(group.map((lesion) => lesion.tier))].map((tier) => element("span", {}, element("i", { class: `dot ${tier}` }), t(tier)))),
        element("p", {}, t("bodyNote"), unplaced.length ? ` ${t("unplaced", unplaced.map((lesion) => `${group.indexOf(lesion) + 1}. ${shown(lesion.label)}`).join(", "))}` : "")),
      matrix(group)));
}
