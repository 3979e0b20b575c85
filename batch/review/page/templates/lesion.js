// One lesion, opened: its pictures on the stage, beside them score, reasons, dates and the decision.

let orderOfVisit = []; // keys of the list that was left for the lesion: what J and K walk through

const lesionHash = (lesion, image = null) => `#lesion=${encodeURIComponent(lesion.key)}${image ? `&image=${lesion.images.indexOf(image)}` : ""}`;
const patientHash = (key) => `#patient=${encodeURIComponent(key)}`;
const openLesion = () => (view.lesion === null ? null : byKey.get(view.lesion));

function idBar(lesion) {
  const at = orderOfVisit.indexOf(lesion.key);
  const [main, ...rest] = names(lesion);
  const siblings = lesion.patient === null ? [] : byPatient.get(lesion.patient);
  const title = lesion.patient === null ? element("span", { class: "main" }, main) : element("a", { href: patientHash(lesion.patient) }, main);
  const step = (by, words, key, name) => element("button", { type: "button", class: "btn icon", "data-step": String(by), title: `${words} (${key})`, "aria-label": words,
    disabled: orderOfVisit[at + by] === undefined || at < 0, onclick: () => stepTo(by) }, icon(name));
  return [element("a", { class: "btn quiet", id: "back", href: backHash, title: `${t("back")} (Esc)` }, icon("left"), element("span", { class: "hide-s" }, t("back"))),
    element("div", { class: "id" }, element("h1", { id: "lesion-title", tabindex: "-1" }, title, element("span", {}, ` · ${rest.join(" · ")}`)), element("p", {}, t("caution"))),
    element("span", { class: "grow" }),
    element("span", { class: "hide-m tags" }, NEWS.filter((name) => is(name, lesion)).map((name) => element("span", { class: "tag" }, t(name)))),
    at < 0 ? null : element("span", { class: "num hide-s where" }, t("placeOf", at + 1, orderOfVisit.length)),
    siblings.length > 1 ? element("a", { class: "btn hide-s", id: "same-patient", href: patientHash(lesion.patient), "aria-label": t("lesions", siblings.length) }, icon("person"), element("span", { class: "hide-m" }, t("lesions", siblings.length))) : null,
    element("div", { class: "steps" }, step(-1, t("previous"), "K", "left"), step(1, t("next"), "J", "right")),
    element("button", { type: "button", class: "btn quiet icon hide-s", "aria-label": t("print"), onclick: printSheet }, icon("print")),
    element("button", { type: "button", class: "btn quiet icon hide-s", "aria-label": t("help"), onclick: openHelp }, icon("help"))];
}

function scoreBlock(lesion) {
  const at = margin(lesion);
  return element("div", { class: "block" },
    element("div", { class: "sline" }, element("b", { class: `big ${lesion.tier}` }, at === null ? t("noValue") : value(lesion)),
      at === null ? null : element("span", {}, t(at >= 0 ? "aboveLine" : "belowLine")), tierMark(lesion)),
    largeScale(lesion), lesion.images.length ? why(lesion).map((sentence) => element("p", { class: "why" }, sentence)) : element("p", { class: "why" }, t("whatNow")));
}

// The small pictures in order of their dates; the one on the stage is marked.
function drawFilm(lesion) {
  const film = byId("film");
  if (!film) return;
  const best = carrier(lesion);
  keepingFocus(film, () => film.replaceChildren(...lesion.images.map((image, at) => element("button", {
    type: "button", "data-image": String(at), "aria-current": String(at === stage.shown || (stage.mode !== "single" && at === stage.other)),
    onclick: () => chooseImage(lesion, at),
  }, element("div", { class: "im" }, hasPicture(image) ? picture(image, "", { loading: "lazy" }) : element("span", { class: "ph" }, icon("broken"))),
  element("b", {}, image.taken ? day(image.taken) : t("dateUnknown")),
  image.score === null ? t("noValue") : element("span", { class: "num" }, value(lesion, image)),
  image === best && lesion.images.length > 1 ? element("span", { class: "cs" }, ` ${t("carries")}`) : null))));
}

function chooseImage(lesion, at) {
  if (stage.mode === "single") stage.shown = at;
  else if (at !== stage.shown) {
    stage.other = at;
    if (stage.other > stage.shown) [stage.other, stage.shown] = [stage.shown, stage.other];
  }
  drawStage(lesion);
  drawFilm(lesion);
}

function drawPanel(lesion) {
  const film = lesion.images.length ? element("div", { class: "block" },
    element("h2", {}, t("visitsTitle"), element("small", {}, lesion.images.length > 1 ? t("visitsHint") : "")), element("div", { class: "film", id: "film" })) : null;
  byId("panel").replaceChildren(
    element("div", { class: "scroll" }, scoreBlock(lesion), film ?? "", markNote(lesion) ?? "", engineerBlock(lesion)), decisionBlock(lesion));
  drawFilm(lesion);
}

// The focus stays where a person has it, when what is known changes meanwhile.
function drawLesion() {
  const lesion = openLesion();
  byId("lesion").hidden = lesion === null;
  if (lesion === null) return;
  const focused = byId("lesion").contains(document.activeElement) ? document.activeElement.id : "";
  byId("lesion").setAttribute("aria-label", who(lesion));
  byId("idbar").replaceChildren(...idBar(lesion).filter(Boolean));
  drawStage(lesion);
  drawPanel(lesion);
  if (focused) byId(focused)?.focus({ preventScroll: true });
}

function stepTo(by) {
  const at = orderOfVisit.indexOf(view.lesion);
  const next = at < 0 ? undefined : orderOfVisit[at + by];
  if (next === undefined) { say(t(by < 0 ? "firstLesion" : "lastLesion")); return false; }
  location.hash = lesionHash(byKey.get(next));
  return true;
}
