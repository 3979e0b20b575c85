// Wiring: filters, keys, colours, print.

const narrow = window.matchMedia("(max-width: 1099px)");
const topHeight = () => document.querySelector(".bar").getBoundingClientRect().height;

function refresh() {
  choose();
  drawHeadings();
  layOut();
  drawRows();
  byId("sort").value = view.order;
  const closed = lesions.filter((lesion) => review(lesion).closed).length;
  byId("shown").textContent = `${counted(listed.length, "lesion", "lesions")} of ${lesions.length.toLocaleString("en")} shown; ` +
    `${closed.toLocaleString("en")} reviewed, ${(lesions.length - closed).toLocaleString("en")} to review.`;
  for (const count of document.querySelectorAll("[data-live]")) {
    count.textContent = lesions.filter((lesion) => {
      const done = review(lesion).closed;
      return count.dataset.live === "reviewed" ? done : !done && lesion.tier === count.dataset.live;
    }).length.toLocaleString("en");
  }
}

function readFilters() {
  view.tiers = new Set([...document.querySelectorAll("[name=tier]:checked")].map((box) => box.value));
  view.state = byId("filter-state").value;
  view.site = byId("filter-site").value;
  view.patient = byId("filter-patient").value;
  view.text = byId("filter-text").value;
  refresh();
}

function reset() {
  for (const box of document.querySelectorAll("[name=tier]")) box.checked = true;
  for (const id of ["filter-state", "filter-site", "filter-patient", "filter-text"]) byId(id).value = "";
  sortBy("rank", false);
  readFilters();
}

const KEYS = {
  j: () => move(1), k: () => move(-1), n: () => move(1), p: () => move(-1),
  o: () => picked && open(picked), Enter: () => picked && open(picked),
  "/": () => { byId("filter-text").focus(); byId("filter-text").select(); },
  e: exportMarks, "?": () => byId("help").showModal(), 0: () => markLesion(null),
};
[...DECISIONS.keys()].forEach((value, at) => { KEYS[at + 1] = () => markLesion(value); });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  if (event.key === "Escape") {
    if (event.target.matches("input, select")) event.target.blur();
    else if (opened) close();
    return;
  }
  if (event.target.matches("input:not([type=checkbox]), select, textarea")) return;
  if (event.key === "Enter" && event.target.closest("button, a, summary, input")) return;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    if (!event.target.closest("#rows")) return;
    event.preventDefault();
    move(event.key === "ArrowDown" ? 1 : -1);
    return;
  }
  const does = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!does || !byId("keys").checked) return;
  event.preventDefault();
  does();
});

byId("rows").addEventListener("click", (event) => {
  const row = event.target.closest("tr.lesion");
  if (row && !String(window.getSelection())) open(byKey.get(row.dataset.key));
});
byId("rows").addEventListener("focusin", (event) => {
  const row = event.target.closest("tr.lesion");
  if (row) pick(byKey.get(row.dataset.key));
});

for (const box of document.querySelectorAll("[name=tier]")) box.addEventListener("change", readFilters);
for (const id of ["filter-state", "filter-site"]) byId(id).addEventListener("change", readFilters);
for (const id of ["filter-patient", "filter-text"]) byId(id).addEventListener("input", readFilters);
byId("sort").addEventListener("change", (event) => {
  sortBy(event.target.value, Boolean(ORDERS[event.target.value].down));
  refresh();
});
byId("reset").addEventListener("click", reset);
byId("export").addEventListener("click", exportMarks);
byId("import").addEventListener("click", () => byId("import-file").click());
byId("import-file").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (!file) return;
  await importMarks(file);
  event.target.value = "";
  refresh();
  if (opened) drawDetail();
});
byId("reviewer").value = stored(SETTINGS + "reviewer") ?? "";
byId("reviewer").addEventListener("input", (event) => {
  store(SETTINGS + "reviewer", event.target.value);
  if (event.target.value.trim()) tell("");
});
byId("keys").checked = stored(SETTINGS + "keys") !== "no";
byId("keys").addEventListener("change", (event) => store(SETTINGS + "keys", event.target.checked ? "yes" : "no"));
byId("help-open").addEventListener("click", () => byId("help").showModal());
byId("help-close").addEventListener("click", () => byId("help").close());

const THEMES = { "": "as the system", light: "light", dark: "dark" };

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  byId("theme").setAttribute("aria-label", `Colours: ${THEMES[theme]}`);
  byId("theme").textContent = theme ? `Colours: ${THEMES[theme]}` : "Colours";
}

let theme = stored(SETTINGS + "theme") ?? "";
theme = theme in THEMES ? theme : "";
setTheme(theme);
byId("theme").addEventListener("click", () => {
  const names = Object.keys(THEMES);
  theme = names[(names.indexOf(theme) + 1) % names.length];
  store(SETTINGS + "theme", theme);
  setTheme(theme);
});

window.addEventListener("scroll", drawRowsSoon, { passive: true });
window.addEventListener("resize", drawRowsSoon);
window.addEventListener("storage", () => { loadMarks(); refresh(); if (opened) drawDetail(); });
narrow.addEventListener("change", () => { drawDetail(); drawRows(); });
window.addEventListener("beforeprint", () => {
  printing = true;
  for (const group of document.querySelectorAll("details:not([open])")) { group.open = true; group.dataset.printed = ""; }
  drawRows();
});
window.addEventListener("afterprint", () => {
  printing = false;
  for (const group of document.querySelectorAll("[data-printed]")) { group.open = false; delete group.dataset.printed; }
  drawRows();
});
new ResizeObserver(() => {
  document.documentElement.style.setProperty("--top", `${topHeight()}px`);
}).observe(document.querySelector(".bar"));

loadMarks();
refresh();
