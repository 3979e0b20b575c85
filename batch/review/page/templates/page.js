// Which view is shown, and what keys, chips and buttons do.

const VIEWS = ["gallery", "list", "patients"];
let backHash = "#gallery"; // the view from which a lesion was opened
let leftLesion = null; // key of the lesion that was open before

function setOrder(name, down) {
  view.order = name;
  view.down = name === "rank" ? false : down;
  byId("sort").value = name;
  refresh();
}

function showAll(event) {
  event?.preventDefault();
  view.filters.clear();
  Object.assign(view, { site: "", text: "", order: "rank", down: false });
  byId("search").value = "";
  refresh();
}

function chip(name, dotted = false) {
  const pressed = name === "all" ? isPlain() : view.filters.has(name);
  return element("button", { type: "button", class: "chip", "data-filter": name, "aria-pressed": String(pressed), onclick: () => {
    if (name === "all") showAll();
    else { if (!view.filters.delete(name)) view.filters.add(name); refresh(); }
    document.querySelector(`[data-filter="${name}"]`).focus();
  } }, dotted ? element("i", { class: `dot ${name}` }) : "", `${name === "all" ? t("all") : filterName(name)} `, element("b", { class: "num" }, count(countOf(name))));
}

function choice(id, label, value, options, does) {
  const made = element("select", { id, "aria-label": label, class: "choice", onchange: (event) => { does(event.target.value); byId(id).focus(); } },
    options.map(([each, text]) => element("option", { value: each }, text)));
  made.value = value;
  return made;
}

function drawChips() {
  const rule = () => element("span", { class: "rule" });
  const sites = [...new Set(lesions.map((lesion) => lesion.site ?? ""))].sort(compareText);
  const isPatients = ["patients", "patient"].includes(view.route);
  byId("chips").hidden = isPatients;
  byId("chips").replaceChildren(chip("all"), rule(), ...NEWS.map((name) => chip(name)), rule(), ...TIERS.map((name) => chip(name, true)), rule(), chip("reviewed"),
    element("span", { class: "grow" }),
    ...[sites.length > 1 ? choice("site", t("site"), view.site, [["", t("allSites")], ...sites.map((site) => (site
      ? [`=${site}`, siteName({ site })] : ["-", t("notStated")]))], (value) => { view.site = value; refresh(); }) : null].filter(Boolean),
    choice("sort", t("sort"), view.order, Object.entries(ORDERS).map(([name, order]) => [name, t(order.text)]), (name) => setOrder(name, Boolean(ORDERS[name].down))),
    ...[view.route === "gallery" ? element("label", { class: "size" }, icon("small"), element("input", {
      type: "range", id: "size", min: "220", max: "620", step: "10", value: String(cardSize || usualCardSize()), "aria-label": t("size"), oninput: (event) => {
        cardSize = Number(event.target.value);
        store(SETTINGS + "card", String(cardSize));
        drawGallery();
      } }), icon("large")) : null].filter(Boolean));
}

const DRAW = { gallery: drawGallery, list: drawList, patients: drawPatients, patient: drawPatient };
let stale = true; // the view behind an open lesion is older than what is known

// How many marks of this browser wait to be exported; a desk keeps none waiting.
function countMarks() {
  const here = [...marks.keys()].filter((key) => byKey.has(key)).length;
  byId("mark-count").textContent = desk || !here ? "" : ` ${count(here)}`;
}

function refresh() {
  countMarks();
  if (view.lesion !== null) { stale = true; choose(); return; }
  stale = false;
  const focused = document.activeElement?.id;
  drawChips();
  choose();
  DRAW[view.route]();
  if (focused && document.activeElement === document.body) byId(focused)?.focus({ preventScroll: true });
}

// What the address asks for: a view, a patient or a lesion. What is not there becomes the gallery.
function asked() {
  const hash = location.hash.slice(1);
  const [, name, rest = ""] = /^(\w+)=?([^&]*)/.exec(hash) ?? [null, "", ""];
  let key = "";
  try { key = decodeURIComponent(rest); } catch { /* no address of ours */ }
  const more = new URLSearchParams(hash.split("&").slice(1).join("&"));
  if (name === "lesion" && byKey.has(key)) return { lesion: key, image: more.get("image"), mode: more.get("mode") };
  if (name === "patient" && byPatient.has(key)) return { route: "patient", patient: key };
  if (["lesion", "patient"].includes(name)) tell(t("notListed"), true);
  return { route: VIEWS.includes(name) ? name : "gallery" };
}

function go() {
  const toReport = location.hash === "#report";
  if (toReport && !stale) { openReport(); return; }
  const wanted = asked();
  if (wanted.lesion !== undefined) {
    const lesion = byKey.get(wanted.lesion);
    const before = view.lesion;
    if (before === null) {
      choose();
      const group = view.route === "patient" ? byPatient.get(view.patient) : listed;
      orderOfVisit = group.map((each) => each.key);
    }
    if (before !== lesion.key) {
      view.lesion = lesion.key;
      const first = face(lesion) ?? carrier(lesion) ?? lesion.images.at(-1);
      const at = Number(wanted.image);
      showImage(lesion, lesion.images[at] && wanted.image !== null ? at : Math.max(0, lesion.images.indexOf(first)));
    }
    byId("app").inert = true;
    document.documentElement.classList.add("with-lesion");
    drawLesion();
    if (wanted.mode && before !== lesion.key) setMode(lesion, wanted.mode === "fade" ? "fade" : "compare");
    document.title = `${who(lesion)}, ${t("title")}`;
    if (before !== lesion.key) byId("lesion-title").focus({ preventScroll: true });
    return;
  }
  leftLesion = view.lesion;
  const moved = view.route !== wanted.route || view.patient !== (wanted.patient ?? null);
  Object.assign(view, { lesion: null, route: wanted.route, patient: wanted.patient ?? null });
  backHash = toReport ? "#gallery" : location.hash || "#gallery";
  byId("lesion").hidden = true;
  byId("app").inert = false;
  document.documentElement.classList.remove("with-lesion");
  for (const name of ["gallery", "list", "patients", "patient"]) byId(`${name}-view`).hidden = view.route !== name;
  for (const link of all(".seg a")) link.toggleAttribute("aria-current", link.hash === `#${view.route}` || (view.route === "patient" && link.hash === "#patients"));
  document.title = view.route === "patient" ? `${patientTitle(byPatient.get(view.patient))}, ${t("title")}` : `${t("title")}, ${day(data.night)}`;
  if (moved || stale || leftLesion === null) refresh();
  if (leftLesion !== null) {
    const card = view.route === "patient" ? document.querySelector(`#patient-view [data-key="${CSS.escape(leftLesion)}"] .open`) : null;
    if (card) card.focus();
    else focusOn(byKey.get(leftLesion));
  } else if (moved) window.scrollTo(0, 0);
  if (toReport) openReport();
}

function openReport(event) {
  event?.preventDefault();
  if (view.lesion !== null) location.hash = backHash;
  const report = byId("report");
  report.open = true;
  const part = byId(event?.currentTarget?.hash?.slice(1) || "report");
  (part ?? report).scrollIntoView({ block: "start" });
  report.querySelector("summary").focus({ preventScroll: true });
}

function openHelp() {
  byId("help").showModal();
}
