// The printed sheet: one lesion, one patient, or the list. It is built before the browser prints,
// and stands in the page where only the printer sees it.

const MOST_PRINTED = 300; // lesions of a list on paper; what is left out is said

function boxesToTick(lesion) {
  const { mark, closed } = review(lesion);
  return element("div", { class: "tick" }, DECISIONS.map((decision) => element("span", { class: closed && mark.decision === decision ? "x" : null }, t(decision))));
}

function lineFor(name, text) {
  return element("div", { class: "wl" }, name, " ", element("b", {}, shown(text)));
}

function printedPicture(image, words) {
  return picture(image, words, { decoding: "sync" });
}

function printedRow(lesion, number = null) {
  const image = face(lesion);
  const { mark } = review(lesion);
  const rank = number !== null ? `${number}. ` : isRanked(lesion) && wasOpen(lesion) ? `${lesion.rank}. ` : "";
  return element("article", { class: "pr" }, image ? printedPicture(image, "") : element("div", { class: "ph" }, missing(lesion)),
    element("div", {}, element("h2", {}, rank + who(lesion), tierMark(lesion)), scale(lesion), element("p", {}, why(lesion).join(" ")),
      lesion.acquired ? element("p", {}, t("takenOn", day(lesion.acquired))) : null, boxesToTick(lesion), lineFor(t("comment"), mark?.comment ?? "")));
}

function printedLesion(lesion) {
  const image = face(lesion);
  const { mark } = review(lesion);
  const others = lesion.images.length > 1 ? element("div", { class: "row" }, lesion.images.filter(hasPicture).slice(-6).map((each) => element("figure", {},
    printedPicture(each, ""), element("figcaption", {}, element("b", {}, each.taken ? day(each.taken) : t("dateUnknown")), ` ${each.score === null ? t("noValue") : value(lesion, each)}`,
      each === carrier(lesion) ? ` · ${t("carries")}` : "")))) : null;
  return [element("h1", {}, who(lesion)), element("p", { class: "sub" }, [t(lesion.tier), margin(lesion) === null ? t("noValue") : value(lesion),
    lesion.acquired ? t("takenOn", day(lesion.acquired)) : "", isRanked(lesion) ? `${t("rank")} ${lesion.rank}` : ""].filter(Boolean).join(" · ")),
  image ? element("div", { class: "main" }, printedPicture(image, who(lesion))) : element("div", { class: "ph tall" }, missing(lesion)),
  element("div", { class: "printed-scale" }, scale(lesion, true)), why(lesion).map((sentence) => element("p", {}, sentence)), others, boxesToTick(lesion),
  lineFor(t("comment"), mark?.comment ?? ""), lineFor(t("diagnosis"), mark?.diagnosis ?? ""), lineFor(t("whenSecond"), "")];
}

function printedPatient(key) {
  const group = byPatient.get(key);
  return [element("h1", {}, patientTitle(group)), element("p", { class: "sub" }, `${t("lesions", group.length)}. ${t("caution")}`),
    element("div", { class: "printed-map" }, bodyMap(group)), group.map((lesion, at) => printedRow(lesion, at + 1))]; // as on the body map
}

function printedList() {
  const groups = choose();
  const first = groups.flatMap((group) => group.lesions).slice(0, MOST_PRINTED);
  const kept = new Set(first);
  const left = listed.length - first.length;
  return [element("h1", {}, `${t("title")}, ${day(data.night)}`), element("p", { class: "sub" }, left > 0 ? ` ${t("found", count(first.length), count(listed.length))}` : ""), element("p", { class: "sub" }, data.caution ? shown(data.caution) : ""),
  groups.map((group) => [groupHead(group), group.lesions.filter((lesion) => kept.has(lesion)).map((lesion) => printedRow(lesion))])];
}

function buildSheet() {
  const lesion = openLesion();
  const sheet = lesion ? printedLesion(lesion) : view.route === "patient" ? printedPatient(view.patient) : printedList();
  byId("print").replaceChildren(...sheet.flat(Infinity).filter(Boolean));
  byId("print").classList.toggle("one", lesion !== null);
}

// Builds the sheet, waits for its pictures, and asks the browser to print.
async function printSheet() {
  buildSheet();
  await Promise.allSettled(all("img", byId("print")).map((image) => image.decode()));
  window.print();
}

window.addEventListener("beforeprint", () => { if (!byId("print").childElementCount) buildSheet(); });
window.addEventListener("afterprint", () => byId("print").replaceChildren());
