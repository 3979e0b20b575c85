// The gallery: a grid of cards, a picture each. And what gallery and list have in common: groups.

const galleryFlow = new Flow(byId("gallery-flow"), { head: 54, cards: 330 });
const GAP = 16; // pixels between cards
let cardSize = Number(stored(SETTINGS + "card")) || 0; // 0: as the window's width suggests
let columns = 1;

const usualCardSize = () => (window.innerWidth >= 2000 ? 370 : 280);

function columnsOf(width) {
  return Math.max(1, Math.floor((width + GAP) / ((cardSize || usualCardSize()) + GAP)));
}

function progress(group) {
  const done = group.lesions.filter((lesion) => review(lesion).closed).length;
  const steps = group.lesions.length <= 24 ? element("span", { class: "prog", "aria-hidden": "true" },
    group.lesions.map((_, at) => element("i", { class: at < done ? "on" : null }))) : null;
  return [steps, element("p", { id: "done-tonight" }, t("doneOf", done, group.lesions.length))];
}

// The heading of a group of lesions.
function groupHead(group, level = "h2") {
  const size = group.lesions.length;
  if (group.name === "work") {
    const open = openAtFirst.length;
    const line = work.size < open ? t("workLine", work.size, count(open), Math.round((100 * work.size) / open)) : t("workAll", open);
    return element("div", { class: "sec" }, element(level, {}, t("work")), element("p", {}, line), progress(group),
      element("p", { class: "r" }, data.of_100_alerts === null ? "" : `${t("ppv", data.of_100_alerts)} `,
        element("a", { href: "#report", onclick: openReport }, t("how"))));
  }
  if (group.name === "noScore") return element("div", { class: "sec later" }, element(level, {}, t("noScore")), element("p", {}, t("noScoreLine", size)));
  if (group.name === "beyond") {
    const open = group.lesions.filter((lesion) => !review(lesion).closed).length;
    return element("div", { class: "sec later" }, element(level, {}, t("beyond")), element("p", {}, t("beyondLine", count(open))));
  }
  const asked = [...view.filters].map(filterName);
  if (view.site) asked.push(view.site === "-" ? t("notStated") : shown(view.site.slice(1)));
  if (view.text.trim()) asked.push(`“${shown(view.text.trim())}”`);
  return element("div", { class: "sec" }, element(level, {}, t("found", count(size), count(lesions.length))), element("p", {}, asked.join(" · ")),
    element("p", { class: "r" }, element("a", { href: "#", id: "show-all", onclick: showAll }, t("showAll"))));
}

function filterName(name) {
  return name === "alert" ? t("alerts") : t(name);
}

function nothingFound() {
  if (isPlain()) return element("div", { class: "empty", id: "all-done" }, icon("lens"), element("h2", {}, t("allDone")), element("p", {}, t("allDoneMore", data.below)));
  return element("div", { class: "empty" }, icon("lens"), element("h2", {}, t("nothing")), element("p", {}, t("nothingMore")),
    element("button", { type: "button", class: "btn", onclick: showAll }, t("showAll")));
}

function noAlerts() {
  return element("div", { class: "empty", id: "no-alerts" }, icon("lens"), element("h2", {}, t("emptyTitle")),
    element("p", {}, t("emptyText", data.below, data.missed_of_100)), openAtFirst.length ? element("p", { class: "small" }, t("emptyMore")) : null);
}

// Heads and items of all groups as entries of a flow; each of `rowsOf` is one more entry.
function entriesOf(groups, rowsOf, head) {
  const entries = [];
  if (isPlain() && !hasAlerts) entries.push({ kind: "empty", make: noAlerts });
  else if (!groups.length) entries.push({ kind: "none", make: nothingFound });
  for (const group of groups) {
    entries.push({ kind: group.name === "work" || group.name === "flat" ? "head" : "later", make: () => head(group) });
    entries.push(...rowsOf(group.lesions));
  }
  return entries;
}

function card(lesion) {
  const image = face(lesion);
  const { closed } = review(lesion);
  const ranked = isRanked(lesion) && wasOpen(lesion);
  const pic = element("div", { class: "pic" },
    image ? picture(image, "") : missing(lesion),
    ranked && !closed ? element("span", { class: "rank num" }, String(lesion.rank)) : null,
    element("div", { class: "badges" }, badges(lesion)), markStrip(lesion));
  return element("article", { class: closed ? "card done" : "card", "data-key": lesion.key },
    element("a", { class: "open", href: lesionHash(lesion) }, pic,
      element("div", { class: "body" }, whoLine(lesion), scale(lesion),
        element("div", { class: "foot" }, tierMark(lesion), element("span", {}, footWords(lesion))))));
}

function drawGallery() {
  const box = byId("gallery-flow");
  columns = columnsOf(box.clientWidth || window.innerWidth - 48);
  galleryFlow.heights = { ...galleryFlow.heights, later: galleryFlow.heights.later ?? 78, empty: 330, none: 300 };
  galleryFlow.show(entriesOf(choose(), (group) => {
    const rows = [];
    for (let at = 0; at < group.length; at += columns) {
      const part = group.slice(at, at + columns);
      rows.push({ kind: "cards", lesions: part, make: () => element("div", {
        class: "grid", style: { "grid-template-columns": `repeat(${columns}, minmax(0, 1fr))` },
      }, part.map(card)) });
    }
    return rows;
  }, groupHead));
}

// The flow and the place in it of a lesion, in the view that is shown; null where it is not listed.
function placeInFlow(lesion) {
  const flow = view.route === "list" ? listFlow : galleryFlow;
  const at = flow.entries.findIndex((entry) => entry.lesions?.includes(lesion));
  return at < 0 ? null : [flow, at];
}

// Put the focus on a lesion's card or row.
function focusOn(lesion) {
  const found = placeInFlow(lesion);
  if (!found) return;
  const [flow, at] = found;
  flow.bring(at);
  all(".open", flow.made.get(at)).find((link) => link.closest("[data-key]").dataset.key === lesion.key)?.focus({ preventScroll: true });
}

// Arrow keys walk over cards and rows. by: lesions, or rows of cards with `rows`.
function walk(by, rows = false) {
  const key = document.activeElement?.closest("[data-key]")?.dataset.key;
  const at = listed.findIndex((lesion) => lesion.key === key);
  if (at < 0) { if (listed.length) focusOn(listed[0]); return; }
  const steps = rows && view.route === "gallery" ? by * columns : by;
  focusOn(listed[Math.min(listed.length - 1, Math.max(0, at + steps))]);
}
