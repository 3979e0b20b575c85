// Keys. Never while a person types; letters of pictures only with a picture open.
const typing = () => document.activeElement?.matches("input:not([type=checkbox], [type=range]), textarea, select") ?? false;
const EVERYWHERE = {
  "?": openHelp, "/": () => { if (view.lesion === null) { byId("search").focus(); byId("search").select(); } },
  g: () => { location.hash = "#gallery"; }, l: () => { location.hash = "#list"; }, p: () => { location.hash = "#patients"; }, e: exportMarks,
};
const WITH_LESION = {
  "?": openHelp, j: () => stepTo(1), k: () => stepTo(-1), n: () => stepTo(1), "+": () => zoomBy(1.4), "=": () => zoomBy(1.4), "-": () => zoomBy(1 / 1.4), z: fit,
  s: (lesion) => { if (stage.mode !== "single") setMode(lesion, "single"); }, c: (lesion) => setMode(lesion, "compare"), o: (lesion) => setMode(lesion, "fade"),
  a: toggleAttention, f: fullScreen, m: () => byId("comment")?.focus(),
  0: takeBack,
};
DECISIONS.forEach((decision, at) => { WITH_LESION[at + 1] = () => markLesion(decision); });
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function arrow(event, lesion) {
  const [x, y] = ARROWS[event.key];
  if (lesion && event.shiftKey) moveBy(-0.08 * x, -0.08 * y);
  else if (lesion) {
    if (!x || document.activeElement?.type === "range" || lesion.images.length < 2) return;
    if (stage.mode === "single") chooseImage(lesion, Math.min(lesion.images.length - 1, Math.max(0, stage.shown + x)));
    else chooseImage(lesion, Math.min(stage.shown - 1, Math.max(0, stage.other + x)));
  } else if (["gallery", "list"].includes(view.route) && (y || view.route === "gallery")) {
    if (document.activeElement?.type === "range" || (document.activeElement !== document.body && !document.activeElement.closest("[data-key]"))) return;
    walk(x || y, Boolean(y));
  } else return;
  event.preventDefault();
}

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "p") { event.preventDefault(); printSheet(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const lesion = openLesion();
  if (event.key === "Escape") {
    if (typing()) document.activeElement.blur();
    else if (lesion && !document.fullscreenElement) location.hash = backHash;
    else if (view.route === "patient") location.hash = "#patients";
    return;
  }
  if (typing()) return;
  if (event.repeat && /^[0-4]$/.test(event.key)) return; // a key that is held marks one lesion
  if (event.key in ARROWS) { arrow(event, lesion); return; }
  if (event.key === " " && lesion && stage.mode === "fade" && !document.activeElement?.matches("button:not([data-tool=fade]), a, summary")) {
    event.preventDefault();
    setFade(stage.opacity < 0.5 ? 1 : 0);
    return;
  }
  const does = (lesion ? WITH_LESION : EVERYWHERE)[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!does || !byId("keys").checked) return;
  event.preventDefault();
  does(lesion);
});
document.addEventListener("keyup", (event) => { if (event.key === " " && stage.mode === "fade") setFade(stage.opacity); });
