// The desk: where a server shows this page it keeps the marks, and the browser keeps none. What
// page and desk tell each other are events on `document` (batch/desk/README.md). Elsewhere this
// part does nothing.

function sendMark(key, mark) {
  const reviewer = byId("reviewer").value.trim();
  const sent = mark ?? { decision: REOPEN, reviewer, reviewed_at: localIso(Date.now()), score: null, image_count: null, diagnosis: "", comment: "" };
  marks.set(key, sent);
  const { decision, diagnosis, comment } = sent;
  document.dispatchEvent(new CustomEvent("desk:mark", { detail: { key, decision, reviewer, diagnosis, comment } }));
}

const openedAt = Date.now() - 60_000; // clocks differ by a little
const heard = new Set(); // keys of lesions whose marks came since the page was drawn
let heardFrame = 0;

// Marks come one by one, hundreds of them when the page is opened: they are drawn together.
function drawHeard(keys) {
  keys.forEach((key) => heard.add(key));
  cancelAnimationFrame(heardFrame);
  heardFrame = requestAnimationFrame(() => {
    refresh();
    if (heard.has(view.lesion)) drawLesion();
    heard.clear();
  });
}

function hearTheDesk() {
  document.addEventListener("desk:marks", (event) => {
    event.preventDefault(); // tells the desk that this page listens
    for (const [key, told] of event.detail.marks) {
      const mark = soundMark(told);
      if (mark === null) marks.delete(key);
      else {
        marks.set(key, mark);
        if (when(mark) > openedAt) fresh.add(key); // nothing moves under the hand of who looks
      }
    }
    const { reviewer } = event.detail;
    if (reviewer) {
      byId("reviewer").value = reviewer;
      byId("reviewer").readOnly = true;
    }
    drawHeard(event.detail.marks.map(([key]) => key));
  });
  document.addEventListener("desk:say", (event) => tell(event.detail.text, event.detail.wrong));
  document.addEventListener("desk:open", (event) => {
    const lesion = byKey.get(event.detail.key);
    if (!lesion) return;
    location.hash = lesionHash(lesion);
    drawLesion();
  });
  byId("import").hidden = true; // the files of others lie in the reports folder already
}

// The address of an image on the desk, at most so many pixels long; null where there is none.
function originalOf(image, side) {
  if (!desk?.originals || image.left || image.withheld) return null;
  return `/originals?image=${encodeURIComponent(image.id)}${side ? `&side=${side}` : ""}`;
}
