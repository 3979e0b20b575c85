// The stage: pictures of the open lesion, one, two side by side or one fading into another. One
// state of zoom for all panes, so that what is looked at stays the same in each.

const MOST_ZOOM = 12;
const stage = {
  mode: "single", // single, compare or fade
  shown: 0, // the image that is shown, as its place in the lesion's images
  other: 0, // the earlier one of two
  zoom: 1, x: 0, y: 0, // x, y: how far the middle is moved, in widths of the picture
  opacity: 0.5, attention: false, beside: false,
};

function showImage(lesion, at) {
  Object.assign(stage, { mode: "single", shown: at, other: Math.max(0, at - 1), zoom: 1, x: 0, y: 0, opacity: 0.5 });
}

function setMode(lesion, mode) {
  const wanted = stage.mode === mode ? "single" : mode;
  if (wanted !== "single" && lesion.images.length < 2) return;
  if (wanted !== "single" && stage.mode === "single") {
    stage.shown = Math.max(1, stage.shown);
    stage.other = stage.shown - 1;
  }
  // two panes side by side leave room above and below: closer is better
  Object.assign(stage, { mode: wanted, zoom: wanted === "compare" ? 1.4 : 1, x: 0, y: 0 });
  drawStage(lesion);
  drawFilm(lesion);
}

function imageWords(lesion, image) {
  return `${who(lesion)}, ${image.taken ? day(image.taken) : t("dateUnknown")}`;
}

function caption(lesion, at, which) {
  const image = lesion.images[at];
  const choice = stage.mode === "compare" && lesion.images.length > 2;
  const chosen = element("select", {
    "aria-label": t("visitsTitle"),
    onchange: (event) => { stage[which] = Number(event.target.value); drawStage(lesion); drawFilm(lesion); },
  }, lesion.images.map((each, place) => element("option", { value: String(place), selected: place === at }, each.taken ? day(each.taken) : `${place + 1}. ${t("dateUnknown")}`)));
  return element("div", { class: "cap" }, element("span", { class: "g" },
    choice ? chosen : element("span", {}, image.taken ? day(image.taken) : t("dateUnknown")),
    image.score === null ? null : element("span", { class: "num" }, value(lesion, image)),
    image === carrier(lesion) && lesion.images.length > 1 ? element("small", {}, t("carries")) : null));
}

function pane(lesion, at, which, grey = false) {
  const image = lesion.images[at];
  const layers = [];
  if (hasPicture(image)) layers.push(picture(image, imageWords(lesion, image), { onload: placePictures }));
  if (stage.mode === "fade" && hasPicture(lesion.images[stage.other])) {
    layers.push(picture(lesion.images[stage.other], "", { class: "over", style: { opacity: String(1 - stage.opacity) } }));
  }
  if (image.attention && stage.attention && (grey || !stage.beside || stage.mode !== "single")) layers.push(attentionLayer(image, grey));
  const box = element("div", { class: grey ? "pane grey" : "pane" },
    hasPicture(image) ? element("div", { class: "mv" }, layers) : element("div", { class: "noimg" }, icon("broken"), element("p", {}, pictureWords(image))),
    grey || stage.mode === "fade" ? null : caption(lesion, at, which));
  return box;
}

// Where covering the picture lowers the score: an outline, which leaves the skin's colour as it is.
function attentionLayer(image, isFilled) {
  const cells = image.attention, size = cells.length, step = 40;
  const canvas = element("canvas", { width: String(size * step), height: String(size * step), "aria-hidden": "true" });
  const pen = canvas.getContext("2d");
  if (isFilled) {
    cells.forEach((row, y) => row.forEach((share, x) => {
      if (share <= 0.05) return;
      pen.fillStyle = `rgba(53, 210, 255, ${Math.min(0.6, 0.1 + share * 0.55)})`;
      pen.fillRect(x * step, y * step, step, step);
    }));
  }
  for (const [least, width, colour] of [[0.12, 3, "rgba(8, 24, 32, 0.85)"], [0.12, 1.4, "#7fe3ff"], [0.45, 5, "rgba(8, 24, 32, 0.85)"], [0.45, 3, "#7fe3ff"]]) {
    const inside = (y, x) => (cells[y]?.[x] ?? 0) > least;
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.lineCap = "square";
    pen.beginPath();
    cells.forEach((row, y) => row.forEach((_, x) => {
      if (!inside(y, x)) return;
      const [left, top] = [x * step, y * step];
      if (!inside(y - 1, x)) { pen.moveTo(left, top); pen.lineTo(left + step, top); }
      if (!inside(y + 1, x)) { pen.moveTo(left, top + step); pen.lineTo(left + step, top + step); }
      if (!inside(y, x - 1)) { pen.moveTo(left, top); pen.lineTo(left, top + step); }
      if (!inside(y, x + 1)) { pen.moveTo(left + step, top); pen.lineTo(left + step, top + step); }
    }));
    pen.stroke();
  }
  return canvas;
}

function tool(name, words, pressed, does, text = null) {
  return element("button", { type: "button", "data-tool": name, title: words, "aria-label": words, "aria-pressed": pressed === null ? null : String(pressed), onclick: does },
    icon({ single: "one", compare: "cols", fade: "layers", attention: "target", full: "expand", in: "plus", out: "minus0" }[name]), text ? element("span", {}, text) : null);
}

function toolbar(lesion) {
  const several = lesion.images.length > 1;
  const modes = [["single", "S"], ["compare", "C"], ["fade", "O"]].map(([mode, key]) => {
    const made = tool(mode, `${t(mode)} (${key})`, stage.mode === mode, () => (stage.mode === mode ? null : setMode(lesion, mode)), t(mode));
    made.disabled = mode !== "single" && !several;
    return made;
  });
  const image = lesion.images[stage.shown];
  const original = originalOf(image);
  return element("div", { class: "tools", role: "toolbar", "aria-label": t("pictureTools") },
    tool("out", t("zoomOut"), null, () => zoomBy(1 / 1.4)),
    element("button", { type: "button", class: "z num", "data-tool": "fit", title: `${t("fit")} (Z)`, onclick: fit }, t("fit")),
    tool("in", t("zoomIn"), null, () => zoomBy(1.4)), element("span", { class: "rule" }), modes, element("span", { class: "rule" }),
    tool("attention", `${t("attention")} (A)`, stage.attention, () => toggleAttention(lesion), t("attention")),
    original === null ? null : element("a", { class: "tool", href: original, target: "_blank", rel: "noopener", title: t("originalHelp") }, t("original")),
    tool("full", `${t("full")} (F)`, null, fullScreen));
}

function toggleAttention(lesion) {
  stage.attention = !stage.attention;
  drawStage(lesion);
}

function stageNote(lesion) {
  if (stage.attention) {
    const known = Boolean(lesion.images[stage.shown].attention);
    return element("div", { class: "note" }, known ? element("i") : null, t(known ? "attentionNote" : "attentionNone"),
      known && stage.mode === "single" ? element("button", { type: "button", "data-tool": "beside", onclick: () => { stage.beside = !stage.beside; drawStage(lesion); } },
        t(stage.beside ? "attentionOn" : "attentionBeside")) : null);
  }
  return stage.mode === "fade" ? element("div", { class: "note" }, t("fadeNote")) : null;
}

function fader(lesion) {
  const [before, now] = [stage.other, stage.shown].map((at) => lesion.images[at]);
  return element("div", { class: "fade" }, element("span", {}, before.taken ? day(before.taken) : t("dateUnknown")),
    element("input", { id: "fade", type: "range", min: "0", max: "1", step: "0.01", value: String(stage.opacity), "aria-label": t("fade"),
      oninput: (event) => { stage.opacity = Number(event.target.value); setFade(stage.opacity); } }),
    element("span", {}, now.taken ? day(now.taken) : t("dateUnknown")));
}

function setFade(opacity) {
  const over = document.querySelector(".mv .over");
  if (over) over.style.opacity = String(1 - opacity);
}

// Draw a part anew: a button in it that had the focus has it again.
function keepingFocus(box, draw) {
  const { tool: name, image } = box.contains(document.activeElement) ? document.activeElement.dataset : {};
  draw();
  const again = name ? `[data-tool="${name}"]` : image ? `[data-image="${image}"]` : null;
  if (again) box.querySelector(again)?.focus({ preventScroll: true });
}

function drawStage(lesion) {
  keepingFocus(byId("stage"), () => fillStage(byId("stage"), lesion));
}

function fillStage(box, lesion) {
  if (!lesion.images.length) {
    box.replaceChildren(element("div", { class: "noimg" }, icon("broken"), element("h2", {}, t("unreadableTitle")),
      why(lesion).map((sentence) => element("p", {}, sentence)), lesion.unread.map((file) => element("code", {}, shown(file.path)))));
    return;
  }
  const image = lesion.images[stage.shown];
  const panes = stage.mode === "compare" ? [pane(lesion, stage.other, "other"), pane(lesion, stage.shown, "shown")] : [pane(lesion, stage.shown, "shown")];
  if (stage.mode === "single" && stage.attention && stage.beside && image.attention) panes.push(pane(lesion, stage.shown, "shown", true));
  const best = carrier(lesion);
  const hidden = best && !hasPicture(best) && stage.mode === "single" && image !== best && hasPicture(image);
  box.replaceChildren(...panes, ...[stage.mode === "fade" ? fader(lesion) : null, stageNote(lesion),
    hidden ? element("div", { class: "note low" }, t("bestHidden")) : null, toolbar(lesion),
    element("div", { class: "fsid" }, element("b", {}, who(lesion)), element("small", {}, t("caution")))].filter(Boolean));
  all(".pane", box).forEach(listenTo);
  placePictures();
}

// Put every picture where zoom and position say.
function placePictures() {
  for (const box of all("#stage .pane")) {
    const moved = box.querySelector(".mv");
    const image = moved?.querySelector("img");
    if (!image) continue;
    const shape = image.naturalWidth ? image.naturalWidth / image.naturalHeight : 4 / 3;
    const width = Math.min(box.clientWidth, box.clientHeight * shape);
    const height = width / shape;
    Object.assign(moved.style, { width: `${width}px`, height: `${height}px` });
    moved.style.transform = `translate(${stage.x * width - (width * stage.zoom) / 2}px, ${stage.y * width - (height * stage.zoom) / 2}px) scale(${stage.zoom})`;
    box.dataset.width = String(width);
  }
  const told = document.querySelector("#stage .z");
  if (told) told.textContent = stage.zoom < 1.02 ? t("fit") : `${decimals(stage.zoom, 1)}×`;
}

function fit() {
  Object.assign(stage, { zoom: 1, x: 0, y: 0 });
  placePictures();
}

// Zoom so that the point x, y (from the middle, in widths of the picture) stays where it is.
function zoomBy(factor, x = 0, y = 0) {
  const zoom = Math.min(MOST_ZOOM, Math.max(1, stage.zoom * factor));
  const by = zoom / stage.zoom;
  Object.assign(stage, { zoom, x: x - (x - stage.x) * by, y: y - (y - stage.y) * by });
  moveBy(0, 0);
}

function moveBy(x, y) {
  const most = (stage.zoom - 1) / 2 + 0.02;
  stage.x = Math.max(-most, Math.min(most, stage.x + x));
  stage.y = Math.max(-most, Math.min(most, stage.y + y));
  if (stage.zoom <= 1.001) Object.assign(stage, { zoom: 1, x: 0, y: 0 });
  placePictures();
}

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else byId("stage").requestFullscreen?.().catch(() => tell(t("full"), true));
}

const fingers = new Map(); // pointer to its place on the screen
let spread = null; // distance of two fingers

// Wheel, drag, pinch and double click on a pane.
function listenTo(box) {
  const from = (event) => {
    const seen = box.getBoundingClientRect();
    const width = Number(box.dataset.width) || seen.width;
    return [(event.clientX - seen.left - seen.width / 2) / width, (event.clientY - seen.top - seen.height / 2) / width];
  };
  box.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0022)), ...from(event));
  }, { passive: false });
  box.addEventListener("dblclick", (event) => {
    if (event.target.closest("select")) return;
    if (stage.zoom > 1.05) fit(); else zoomBy(2.5, ...from(event));
  });
  box.addEventListener("pointerdown", (event) => {
    if (event.target.closest("select")) return;
    try { box.setPointerCapture(event.pointerId); } catch { /* a pointer that is gone again */ }
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    spread = null;
    box.classList.add("drag");
  });
  box.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    const width = Number(box.dataset.width) || 1;
    if (fingers.size === 1) { moveBy((event.clientX - before[0]) / width, (event.clientY - before[1]) / width); return; }
    const [[x1, y1], [x2, y2]] = [...fingers.values()];
    const apart = Math.hypot(x1 - x2, y1 - y2);
    if (spread) zoomBy(apart / spread, ...from({ clientX: (x1 + x2) / 2, clientY: (y1 + y2) / 2 }));
    spread = apart;
  });
  for (const end of ["pointerup", "pointercancel"]) {
    box.addEventListener(end, (event) => {
      fingers.delete(event.pointerId);
      spread = null;
      if (!fingers.size) box.classList.remove("drag");
    });
  }
}
