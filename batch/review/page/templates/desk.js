// The desk: where a server shows this page it keeps the marks, and the browser keeps none. What
// page and desk tell each other are events on `document` (batch/desk/README.md). Elsewhere this
// part does nothing.

const deskNotes = new Map(); // lesion key to diagnosis and comment of its newest mark
const deskDrafts = new Map(); // lesion key to what is typed and not marked yet

function sendMark(key, mark) {
  const reviewer = byId("reviewer").value.trim();
  marks.set(key, mark ?? { decision: REOPEN, reviewer, reviewed_at: localIso(Date.now()), score: null, image_count: null });
  const typed = deskDrafts.get(key) ?? {};
  deskDrafts.delete(key);
  document.dispatchEvent(new CustomEvent("desk:mark", {
    detail: { key, decision: mark?.decision ?? REOPEN, reviewer, ...typed },
  }));
}

if (desk) {
  document.addEventListener("desk:marks", (event) => {
    event.preventDefault(); // tells the desk that this page listens
    for (const [key, told] of event.detail.marks) {
      const mark = soundMark(told);
      if (mark === null) marks.delete(key);
      else marks.set(key, mark);
      deskNotes.set(key, { diagnosis: told?.diagnosis, comment: told?.comment });
    }
    const { reviewer } = event.detail;
    if (reviewer) {
      byId("reviewer").value = reviewer;
      byId("reviewer").readOnly = true;
    }
    refresh();
    if (opened && event.detail.marks.some(([key]) => key === picked.key)) {
      const focused = document.activeElement?.id;
      drawDetail();
      if (focused) byId(focused)?.focus({ preventScroll: true });
    }
  });
  document.addEventListener("desk:say", (event) => tell(event.detail.text, event.detail.wrong));
  document.addEventListener("desk:open", (event) => {
    const lesion = byKey.get(event.detail.key);
    if (lesion) open(lesion);
  });
  byId("import").hidden = true; // the files of others lie in the reports folder already
  byId("where-marks").textContent = "Marks are saved on the desk as you make them, and the next run closes there what you marked. " +
    "A higher score or a new image opens it again. Taking a mark back is a mark of its own.";
}

// Diagnosis and comment beside the decision; null where no desk takes them.
function deskFields(lesion) {
  if (!desk) return null;
  const said = Object.entries(deskNotes.get(lesion.key) ?? {}).filter(([, text]) => text);
  const field = (name, label, most) => element("label", {}, `${label} `, element("input", {
    type: "text", id: `desk-${name}`, maxlength: most, autocomplete: "off",
    value: deskDrafts.get(lesion.key)?.[name],
    oninput: (event) => deskDrafts.set(lesion.key, { ...deskDrafts.get(lesion.key), [name]: event.target.value }),
  }));
  return element("div", {},
    ...said.map(([name, text]) => element("p", { class: "sub" }, `${name}: ${shown(text)}`)),
    desk.read_only ? null : element("div", { class: "desk-fields" },
      field("diagnosis", "Diagnosis", 200), field("comment", "Comment", 2000)));
}

// The address of an image on the desk, at most so many pixels long; null where there is none.
function originalOf(image, side) {
  if (!desk?.originals || image.left) return null;
  return `/originals?image=${encodeURIComponent(image.id)}${side ? `&side=${side}` : ""}`;
}
