// What happens when the page is opened: language, colours, the fields of the bar, the first view.

const THEMES = ["", "light", "dark"]; // "": as the system

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

const isDark = () => document.documentElement.dataset.theme === "dark"
  || (!document.documentElement.dataset.theme && window.matchMedia("(prefers-color-scheme: dark)").matches);

// Put every text of the page in the chosen language: `data-text` names the text of an element,
// `data-label` that of its label, `data-hint` that of an empty field.
function setLanguage(name) {
  language = LANGUAGES.includes(name) ? name : "en";
  document.documentElement.lang = language;
  words.clear();
  for (const each of all("[data-text]")) each.textContent = t(each.dataset.text);
  for (const each of all("[data-label]")) { each.setAttribute("aria-label", t(each.dataset.label)); each.title = t(each.dataset.label); }
  for (const each of all("[data-hint]")) each.placeholder = t(each.dataset.hint);
  byId("night-date").textContent = day(data.night);
  byId("where-marks").textContent = t(desk ? "whereMarksDesk" : "whereMarks");
  const other = language === "en" ? "DE" : "EN";
  byId("language").textContent = other;
  byId("language").setAttribute("aria-label", `${other}, ${t("language")}`);
  byId("language").title = t("language");
  drawHelp();
}

function drawHelp() {
  const line = (text, ...keys) => element("div", { class: "k" }, element("span", {}, text), element("span", {}, keys.map((key) => element("kbd", {}, key))));
  byId("help-keys").replaceChildren(
    element("div", {}, element("h3", {}, t("helpEverywhere")), line(t("helpSearch"), "/"), line(t("gallery"), "G"), line(t("list"), "L"), line(t("patients"), "P"),
      line(t("helpCards"), "←", "→", "↑", "↓"), line(t("helpOpen"), "Enter", "Esc"), line(t("helpExport"), "E"), line(t("helpThis"), "?"),
      element("h3", {}, t("helpDecide")), DECISIONS.map((decision, at) => line(t(decision), String(at + 1))), line(t("takeBack"), "0"), line(t("comment"), "M")),
    element("div", {}, element("h3", {}, t("helpPicture")), line(t("helpNext"), "J", "K"), line(t("helpVisit"), "←", "→"), line(`${t("zoomIn")}, ${t("zoomOut")}`, "+", "−"),
      line(t("fit"), "Z"), line(t("helpMove"), "Shift", "←↑→↓"), line(t("single"), "S"), line(t("compare"), "C"), line(t("fade"), "O"), line(t("helpFlip"), "Space"),
      line(t("attention"), "A"), line(t("full"), "F")));
}

function redrawAll() {
  refresh();
  drawLesion();
  if (view.lesion !== null) stale = true;
}

byId("reviewer").value = stored(SETTINGS + "reviewer") ?? "";
byId("reviewer").addEventListener("input", (event) => store(SETTINGS + "reviewer", event.target.value));
byId("keys").checked = stored(SETTINGS + "keys") !== "no";
byId("keys").addEventListener("change", (event) => store(SETTINGS + "keys", event.target.checked ? "yes" : "no"));
byId("search").addEventListener("input", (event) => {
  view.text = event.target.value;
  if (view.route === "patient") location.hash = "#patients"; else refresh();
});
byId("search").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && listed.length) { event.preventDefault(); if (["gallery", "list"].includes(view.route)) focusOn(listed[0]); }
});
byId("export").addEventListener("click", exportMarks);
byId("import").addEventListener("click", () => byId("import-file").click());
byId("import-file").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (!file) return;
  await importMarks(file);
  event.target.value = "";
  redrawAll();
});
byId("print-list").addEventListener("click", printSheet);
byId("help-open").addEventListener("click", openHelp);
byId("help-close").addEventListener("click", () => byId("help").close());
byId("who-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = byId("who-name").value.trim();
  if (!name) return;
  const { decision, key } = byId("who").dataset;
  byId("reviewer").value = name;
  store(SETTINGS + "reviewer", name);
  byId("who").close();
  tell("");
  if (key) markLesion(decision || null, key);
  else drawLesion();
});
byId("who-cancel").addEventListener("click", () => byId("who").close());
byId("language").addEventListener("click", () => {
  const next = language === "en" ? "de" : "en";
  store(SETTINGS + "language", next);
  setLanguage(next);
  go();
  redrawAll();
});
byId("theme").addEventListener("click", () => {
  const next = isDark() ? "light" : "dark";
  store(SETTINGS + "theme", next);
  setTheme(next);
});
for (const link of all("[data-report]")) link.addEventListener("click", openReport);
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); byId("main").focus(); });

let frame = 0;
function drawSoon(does) {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(does);
}

const FLOWS = { gallery: galleryFlow, list: listFlow, patients: patientsFlow };
window.addEventListener("scroll", () => { if (view.lesion === null && FLOWS[view.route]) drawSoon(() => FLOWS[view.route].draw()); }, { passive: true });
window.addEventListener("resize", () => drawSoon(() => { if (view.lesion === null) DRAW[view.route](); else { stale = true; placePictures(); } }));
document.addEventListener("fullscreenchange", () => placePictures());
window.addEventListener("hashchange", go);
window.addEventListener("storage", () => { loadMarks(); redrawAll(); });

const chosenTheme = stored(SETTINGS + "theme") ?? "";
setTheme(THEMES.includes(chosenTheme) ? chosenTheme : "");
setLanguage(stored(SETTINGS + "language") ?? data.language ?? browserLanguage());
loadMarks();
loadDrafts();
if (desk) hearTheDesk();
countMarks();
go();
