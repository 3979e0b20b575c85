// The desk's side of the page: sends each mark to the desk at once, and asks for those of others.
//
// It knows nothing of the page but four events on `document`, of which batch/desk/README.md tells:
// the page sends desk:mark; it takes desk:marks, desk:say and desk:open.
(() => {
"use strict";

const desk = JSON.parse(document.documentElement.dataset.desk);
const ASK_EVERY = 4_000, WAIT = 15_000, TRY_AGAIN = 2_000; // milliseconds
const newest = new Map(); // lesion key to its newest mark, as the desk told
const unsaved = new Map(); // lesion key to the mark_id that is on its way
let edition = "", last = 0, sending = Promise.resolve();

const emit = (name, detail) =>
  !document.dispatchEvent(new CustomEvent(name, { detail, cancelable: true }));
const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// A few words in the corner of the page: what is saved, and what a person must know.
const line = document.createElement("div");
const words = document.createElement("span");
const button = document.createElement("button");
line.id = "desk-line";
line.setAttribute("role", "status");
Object.assign(line.style, {
  position: "fixed", right: "12px", bottom: "12px", zIndex: "9", maxWidth: "min(36rem, 90vw)",
  padding: "6px 14px", font: "13px/1.45 system-ui, sans-serif", background: "Canvas",
  color: "CanvasText", border: "1px solid GrayText", borderRadius: "10px", pointerEvents: "none",
});
Object.assign(button.style, { marginLeft: "12px", minHeight: "34px", pointerEvents: "auto" });
button.type = "button";
button.textContent = "Load the page again";
button.hidden = true;
button.addEventListener("click", () => location.reload());
const leave = document.createElement("button");
Object.assign(leave.style, { marginLeft: "12px", minHeight: "34px", pointerEvents: "auto" });
leave.type = "button";
leave.textContent = "Sign out";
leave.hidden = !desk.can_sign_out;
leave.addEventListener("click", async () => {
  await sending;
  await fetch("/logout", { method: "POST", headers: { "X-Desk-Token": desk.token } });
  location.replace("/");
});
line.append(words, button, leave);
document.body.append(line);

let isNewNight = false, isOld = false, problem = "";
let note = desk.read_only ? "This desk shows you the list; you cannot mark." : "Marks are saved as you make them.";

function draw() {
  words.textContent = [problem, isNewNight ? "A new night was published." : "", note].filter(Boolean).join(" ");
  line.style.fontWeight = problem || isNewNight ? "650" : "400";
  button.hidden = !(isOld || isNewNight);
}

function fail(text) {
  problem = text;
  draw();
  emit("desk:say", { text, wrong: true });
}

const clock = (text) => new Date(text).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

function take(mark) {
  const known = newest.get(mark.key);
  if (known && known.number >= mark.number) return;
  newest.set(mark.key, mark);
  if (!unsaved.has(mark.key)) emit("desk:marks", { marks: [[mark.key, mark]] });
}

function show(key) {
  return emit("desk:marks", { marks: [[key, newest.get(key) ?? null]] });
}

async function answerOf(response) {
  try {
    return await response.json();
  } catch {
    return { error: `The desk answered ${response.status}.` };
  }
}

// Until the desk has answered: a click is never lost to a network that is away for a while.
async function post(body) {
  for (;;) {
    try {
      const response = await fetch("/desk/marks", {
        method: "POST", body: JSON.stringify(body), signal: AbortSignal.timeout(WAIT),
        headers: { "Content-Type": "application/json", "X-Desk-Token": desk.token },
      });
      if (![502, 503, 504].includes(response.status)) return [response, await answerOf(response)];
    } catch {
      // no answer: whether it was saved nobody knows, and the same mark_id is saved only once
    }
    problem = "The last mark is not saved yet: the desk does not answer. Trying again; leave this page open.";
    draw();
    await sleep(TRY_AGAIN);
  }
}

async function save(body) {
  const key = body.lesion_key;
  const [response, told] = await post(body);
  if (unsaved.get(key) === body.mark_id) unsaved.delete(key);
  if (response.ok) {
    problem = "";
    note = `Saved ${clock(told.mark.reviewed_at)}.`;
    take(told.mark);
    draw();
    return;
  }
  if (told.mark) newest.set(key, told.mark);
  else if (told.mark === null) newest.delete(key);
  show(key);
  emit("desk:open", { key });
  isOld = Boolean(told.reload);
  fail(told.error);
}

document.addEventListener("desk:mark", (event) => {
  const { key, decision, reviewer = "", diagnosis = "", comment = "" } = event.detail;
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const mark_id = [...bytes].map((each) => each.toString(16).padStart(2, "0")).join("");
  const known = unsaved.get(key) ?? newest.get(key)?.mark_id ?? "";
  unsaved.set(key, mark_id);
  const body = { run_id: desk.run_id, lesion_key: key, decision, known, mark_id, reviewer, diagnosis, comment };
  sending = sending.then(() => save(body));
});

// What others marked. The whole of it when somebody moved or changed the file.
async function ask() {
  const response = await fetch(`/desk/marks?edition=${edition}&after=${last}`, { signal: AbortSignal.timeout(WAIT) });
  const told = await answerOf(response);
  if (!response.ok) throw new Error(told.error);
  if (told.edition !== edition) {
    const gone = [...newest.keys()];
    newest.clear();
    edition = told.edition;
    last = 0;
    emit("desk:marks", { marks: gone.filter((key) => !unsaved.has(key)).map((key) => [key, null]) });
  }
  told.marks.forEach(take);
  last = Math.max(last, told.last);
  isNewNight = told.run_id !== desk.run_id;
}

async function keepAsking() {
  let misses = 0;
  for (;;) {
    try {
      if (!document.hidden) await ask();
      if (misses && !unsaved.size) problem = "";
      misses = 0;
    } catch (error) {
      misses += 1;
      if (misses > 1) {
        problem = error.message && error.name === "Error"
          ? error.message : "The desk does not answer. Marks of others are not shown.";
      }
    }
    draw();
    await sleep(ASK_EVERY);
  }
}

window.addEventListener("beforeunload", (event) => {
  if (unsaved.size) event.preventDefault();
});

draw();
if (!emit("desk:marks", { marks: [], reviewer: desk.reviewer })) {
  fail("An older version made this page: it saves no marks here. Export them, and put the file into the reports folder.");
} else {
  keepAsking();
}
})();
