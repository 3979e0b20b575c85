// The decision: what was marked, by whom, and the buttons and fields for a new mark.

function markNote(lesion) {
  const { mark, why: opened } = review(lesion);
  if (mark === null || mark.decision.toLowerCase() === REOPEN) return null;
  const initials = shown(mark.reviewer).slice(0, 2).toUpperCase();
  return element("div", { class: "block other" }, element("span", { class: "av", "aria-hidden": "true" }, initials || "?"),
    element("div", {}, element("p", { class: "decided" }, t("marked", decisionWord(mark), shown(mark.reviewer) || t("somebody"), instant(mark.reviewed_at) || t("noTime")),
      opened ? `; ${TEXT[language].reopenedBy[opened]}` : ""),
    [["diagnosis", mark.diagnosis], ["comment", mark.comment]].filter(([, text]) => text).map(([name, text]) => element("p", {}, `${t(name)}: ${shown(text)}`))));
}

function field(lesion, name, most, multiline) {
  const { mark } = review(lesion);
  const isOwn = mark !== null && mark.reviewer === byId("reviewer").value.trim();
  const known = drafts.get(lesion.key)?.[name] ?? (isOwn ? mark[name] : "") ?? "";
  const made = element(multiline ? "textarea" : "input", { id: name, maxlength: String(most), autocomplete: "off", placeholder: t(`${name}Hint`),
    oninput: (event) => keepDraft(lesion.key, { ...drafts.get(lesion.key), [name]: event.target.value }), onchange: () => amend(lesion) });
  made.value = known;
  return element("div", { class: "fld" }, element("label", { for: name }, t(name), element("small", {}, multiline ? element("kbd", {}, "M") : t("diagnosisMore"))), made);
}

function decisionBlock(lesion) {
  if (desk?.read_only) return element("div", { class: "decide" }, element("p", {}, t("readOnly")));
  const { mark, closed, own } = review(lesion);
  const buttons = DECISIONS.map((decision, at) => element("button", { type: "button", class: "db", "data-decision": decision,
    "aria-pressed": String(closed && mark.decision === decision), onclick: () => markLesion(decision) }, element("kbd", {}, String(at + 1)), t(decision)));
  const name = byId("reviewer").value.trim();
  return element("div", { class: "decide" }, element("div", { class: "dbs", role: "group", "aria-label": t("decision") }, buttons),
    field(lesion, "comment", 2000, true), field(lesion, "diagnosis", 200, false),
    element("div", { class: "then" }, element("label", {}, element("input", { type: "checkbox", id: "advance", checked: advances(),
      onchange: (event) => store(SETTINGS + "advance", event.target.checked ? "yes" : "no") }), t("thenNext")),
    name && !byId("reviewer").readOnly ? element("button", { type: "button", class: "btn quiet as", id: "as", onclick: () => askWho(null, null) }, t("asWho", name)) : null,
    own || closed ? element("button", { type: "button", class: "btn quiet", id: "unmark", onclick: () => markLesion(null) }, icon("undo"), t("takeBack"), element("kbd", {}, "0")) : null));
}

const advances = () => stored(SETTINGS + "advance") !== "no";

let lastMarked = null; // key of the lesion whose mark `0` takes back

// Keep a decision for a lesion; null takes the mark back.
function markLesion(decision, key = view.lesion) {
  const lesion = byKey.get(key);
  if (!lesion) return;
  if (desk?.read_only) { tell(t("readOnly"), true); return; }
  const reviewer = byId("reviewer").value.trim();
  // what a run has read, or may read in a file, is taken back by a mark of its own
  const own = marks.get(key) ?? null;
  const isElsewhere = lesion.mark?.closes || (own !== null && Number(stored(EXPORTED) ?? 0) >= when(own));
  if (!reviewer && (decision !== null || isElsewhere || desk)) { askWho(decision, key); return; }
  const given = decision === null && isElsewhere ? REOPEN : decision;
  const typed = drafts.get(key) ?? {};
  const last = review(lesion).mark;
  const before = last?.reviewer === reviewer ? last : null; // nobody says another's words
  keepMark(key, given === null ? null : {
    decision: given, reviewer, reviewed_at: localIso(Date.now()), score: lesion.score, image_count: lesion.image_count,
    diagnosis: typed.diagnosis ?? before?.diagnosis ?? "", comment: typed.comment ?? before?.comment ?? "",
  });
  keepDraft(key, null);
  if (decision === null) fresh.delete(key); else fresh.add(key);
  lastMarked = decision === null ? null : key;
  const told = decision === null ? t("takenBack", who(lesion)) : t("markedNow", who(lesion), t(decision));
  tell(keeps || desk ? told : `${told}. ${t("keepsNothing")}`, !keeps && !desk, decision === null ? null : () => markLesion(null, key));
  refresh();
  if (decision !== null && key === view.lesion && advances() && stepTo(1)) return;
  if (view.lesion !== null) { drawLesion(); byId("lesion-title").focus({ preventScroll: true }); }
}

// Words that are typed after the decision join it when the field is left.
function amend(lesion) {
  const { mark, own, closed } = review(lesion);
  const typed = drafts.get(lesion.key);
  if (!typed || !own || !closed || desk?.read_only || mark.reviewer !== byId("reviewer").value.trim()) return;
  keepMark(lesion.key, { ...mark, reviewed_at: localIso(Date.now()), diagnosis: typed.diagnosis ?? mark.diagnosis, comment: typed.comment ?? mark.comment });
  keepDraft(lesion.key, null);
  tell(t("wordsKept", who(lesion)));
}

// Take back the mark of the open lesion, or the last one where it has none that holds.
function takeBack(lesion) {
  const { own, closed } = review(lesion);
  const key = own || closed ? lesion.key : lastMarked;
  if (key !== null) markLesion(null, key);
}

// The name first; what was decided is kept when it has been given.
function askWho(decision, key) {
  const dialog = byId("who");
  dialog.dataset.decision = decision ?? "";
  dialog.dataset.key = key ?? "";
  byId("who-name").value = "";
  dialog.showModal();
  byId("who-name").focus();
}
