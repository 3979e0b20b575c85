// One lesion, opened: its images side by side, scores, classes as bars, earlier dates, the mark.

let picked = null; // the lesion that keys act on
let opened = false;

function classBars(image) {
  const classes = data.classes.map((name, at) => [name, image.classes?.[at] ?? null]).filter(([, value]) => value !== null);
  if (!classes.length) return element("p", { class: "sub" }, "No class scores are known.");
  classes.sort((one, other) => other[1] - one[1]);
  return element("table", { class: "bars", "aria-label": "Class scores of the model" },
    element("tbody", {}, ...classes.map(([name, value]) => {
      const length = element("i");
      length.style.width = `${100 * Math.min(1, Math.max(0, value))}%`;
      return element("tr", { class: name === data.melanoma_class ? "melanoma" : null },
        element("th", { scope: "row" }, shown(name)),
        element("td", {}, element("span", { class: "class-bar", "aria-hidden": "true" }, length)),
        element("td", {}, score(value, 2)));
    })));
}

// What became of an image since the night before, so that it agrees with what is said of its lesion.
const ARRIVAL = {
  added: "New: this lesion had no such image the night before.",
  replaced: "New at its place: another image stood there the night before.",
  readable: "Could not be read the night before.",
};

function sinceWhen(image) {
  if (image.left) return "The score that it had when it was in the archive.";
  if (ARRIVAL[image.arrival]) return ARRIVAL[image.arrival];
  if (image.scored_at && Date.parse(image.scored_at) < Date.parse(data.night)) {
    return `Scored in the night of ${date(image.scored_at)}, and not changed since.`;
  }
  return image.earlier.length ? "Scored again tonight." : "Scored tonight for the first time.";
}

function earlierScores(image) {
  const said = element("p", { class: "sub" }, sinceWhen(image));
  if (!image.earlier.length) return said;
  return element("div", {}, said, earlierTable(image));
}

function earlierTable(image) {
  return element("table", { class: "earlier", "aria-label": "Scores of earlier nights" },
    element("thead", {}, element("tr", {}, ...["Night", "Score", "Model"].map((name) => element("th", { scope: "col" }, name)))),
    element("tbody", {}, ...[...image.earlier].reverse().map(([night, value, model]) =>
      element("tr", {}, element("td", {}, date(night)), element("td", {}, score(value)), element("td", {}, shown(model))))));
}

function looks(image, name) {
  const picture = pictureOf(image.picture) ?? originalOf(image, 1600);
  const attention = pictureOf(image.attention);
  if (picture === null && attention === null) {
    return element("p", { class: "no-picture" }, image.left
      ? "No picture: the image left the archive." : "No picture on this page (see path).");
  }
  const figure = (source, words, caption) => source === null ? null : element("figure", {},
    element("img", {
      src: source, alt: words, decoding: "async",
      onerror: (event) => event.target.replaceWith("This picture cannot be shown."),
    }),
    caption ? element("figcaption", {}, caption) : null);
  return element("div", { class: "looks" },
    figure(picture, `Picture of ${name}`, attention === null ? null : "Picture"),
    figure(attention, `The model's attention over ${name}`, "The model's attention, not evidence"));
}

function imageBlock(image, number, count, isHighest) {
  const name = `image ${number} of ${count}`;
  const taken = image.taken ? `taken ${date(image.taken)}` : "date not stated";
  return element("article", { class: image.attention === null ? "image" : "image wide", "aria-label": name },
    looks(image, name),
    element("div", { class: "image-text" },
      image.attention === null ? null : element("p", { class: "sub" },
        "Orange: where covering the picture lowers the score. No orange: no single place does. " +
        "This tells about the model, not about the skin."),
      element("div", { class: "image-score" }, image.score === null ? "No score" : `Score ${score(image.score)}`,
        isHighest ? element("span", { class: "tag" }, "highest") : null, element("small", {}, taken)),
      image.score === null ? null : meter(image.score, image.threshold),
      image.predicted ? element("p", { class: "sub" }, `Highest class score: ${shown(image.predicted)}`) : null,
      classBars(image),
      earlierScores(image),
      originalOf(image) === null ? null : element("p", { class: "sub" },
        element("a", { href: originalOf(image), target: "_blank" }, "The original in full size")),
      element("p", { class: "sub path" }, shown(image.path) + (image.frame === null ? "" : `, frame ${image.frame}`)),
      image.flags.length ? element("p", { class: "sub" }, image.flags.map(flagWords).join(", ")) : null));
}

function facts(lesion) {
  const rows = [
    ["Score", `${score(lesion.score)} highest, ${score(lesion.mean)} mean of its images`],
    ["Operating point", lesion.threshold === null ? "–" : `alert from ${score(lesion.threshold, 4)}; margin ${lesion.margin > 0 ? "+" : "−"}${Math.abs(lesion.margin).toFixed(3)}`],
    ["Night before", nightBefore(lesion)],
    ["First listed", instant(lesion.first_listed_at)],
    ["First alert", instant(lesion.first_alerted_at)],
    ["Patient", lesion.patient ? shown(lesion.patient_label) : "not known"],
    ["Patient ID", [lesion.patient_id, lesion.issuer].filter(Boolean).map(shown).join(", ")],
    ["Within the patient", placeInPatient(lesion) && `${placeInPatient(lesion)} by score`],
    ["Site, side", [lesion.site, lesion.side].filter(Boolean).map(shown).join(", ") || "not stated"],
    ["Newest image", date(lesion.acquired)],
    ["Images", `${lesion.image_count}${lesion.unreadable_count ? `, ${lesion.unreadable_count} of them without a score` : ""}`],
    ["Flags", lesion.flags.map(flagWords).join(", ")],
    ["Accession number", shown(lesion.accession)],
    ["Study UID", lesion.study_uids.map(shown).join(", ")],
    ["Lesion key", shown(lesion.key)],
  ];
  return element("dl", { class: "facts" }, ...rows.filter(([, value]) => value).map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

function nightBefore(lesion) {
  const came = arrivals(lesion) ? `; ${arrivals(lesion)} since` : "";
  if (lesion.previous !== null) {
    const by = lesion.previous_model ? ` (${shown(lesion.previous_model)})` : "";
    return `${score(lesion.previous)}${by}${lesion.change === null ? "" : `, ${change(lesion.change)}`}${came}`;
  }
  if (data.is_first_night) return "there was none";
  const known = Date.parse(lesion.first_listed_at) < Date.parse(data.night);
  return (known ? "no score: no image of it could be read" : "no score: it was not there, or could not be read") + came;
}

function decide(lesion) {
  const { mark, closed, own, why } = review(lesion);
  const buttons = [...DECISIONS].map(([value, label], at) => element("button", {
    type: "button", "data-decision": value, "aria-pressed": String(closed && mark.decision === value),
    onclick: () => markLesion(value),
  }, `${label} `, element("kbd", { "aria-hidden": "true" }, String(at + 1))));
  const back = own || closed ? element("button", { type: "button", class: "quiet", id: "unmark", onclick: () => markLesion(null) }, "Take back") : null;
  const said = mark === null ? null : element("p", { class: "decided" },
    `Marked “${shown(DECISIONS.get(mark.decision) ?? mark.decision)}” by ${shown(mark.reviewer) || "somebody"}, ${instant(mark.reviewed_at) || "no time stated"}`,
    why ? `; ${why}` : "");
  return element("div", {},
    element("div", { class: "decide", role: "group", "aria-label": "Mark this lesion" }, ...buttons, ...(back ? [back] : []),
      element("label", {}, element("input", {
        type: "checkbox", id: "advance", checked: stored(SETTINGS + "advance") !== "no",
        onchange: (event) => store(SETTINGS + "advance", event.target.checked ? "yes" : "no"),
      }), "then the next")),
    deskFields(lesion), ...(said ? [said] : []));
}

function drawDetail() {
  const detail = byId("detail");
  const lesion = picked;
  detail.hidden = !opened;
  byId("worklist").classList.toggle("with-detail", opened);
  byId("list").inert = opened && narrow.matches;
  if (!opened) { detail.replaceChildren(); return; }
  const place = listed.indexOf(lesion);
  const step = (label, by) => element("button", {
    type: "button", class: "quiet", disabled: !listed[place + by], onclick: () => move(by),
  }, label);
  const others = lesion.patient === null ? 0 : lesions.filter((each) => each.patient === lesion.patient).length - 1;
  detail.replaceChildren(
    element("div", { class: "detail-head" },
      element("div", { class: "detail-title" },
        element("h3", { id: "detail-title", tabindex: "-1" }, `${lesion.rank}. ${shown(lesion.label)}`,
          element("span", { class: "of-patient" }, `, ${patientOf(lesion)}`)),
        element("span", { class: `badge ${lesion.tier}` }, TIERS.get(lesion.tier)),
        element("span", { class: "tag" }, lesion.status),
        element("span", { class: "step" }, step("Previous", -1), step("Next", 1),
          element("button", { type: "button", class: "quiet", id: "close", onclick: close }, "Close"))),
      element("p", { class: "reason" }, shown(lesion.reason)),
      decide(lesion)),
    element("div", { class: "detail-body" },
      element("div", { class: "images" }, ...lesion.images.map((image, at) => imageBlock(
        image, at + 1, lesion.images.length, lesion.images.length > 1 && image === highest(lesion.images)))),
      lesion.images.length ? null : element("p", { class: "no-picture" }, "No image of this lesion could be read; the reasons stand under Unreadable."),
      facts(lesion),
      others ? element("p", {}, element("button", {
        type: "button", class: "link", id: "same-patient",
        onclick: () => { byId("filter-patient").value = view.patient = lesion.patient; refresh(); },
      }, `List this patient's ${counted(others + 1, "lesion", "lesions")}`)) : null));
  detail.scrollTop = 0;
}

function pick(lesion) {
  rows.get(picked)?.classList.remove("picked");
  picked = lesion;
  rows.get(picked)?.classList.add("picked");
}

function open(lesion) {
  pick(lesion);
  opened = true;
  drawDetail();
  drawRows(); // the rows' height may be another beside the detail
  bringIntoView(lesion);
  byId("detail-title").focus({ preventScroll: true });
}

function close() {
  opened = false;
  drawDetail();
  drawRows();
  if (picked === null) return;
  bringIntoView(picked);
  rows.get(picked)?.querySelector(".open").focus({ preventScroll: true });
}

// To the next (1) or previous (-1) lesion of the list.
function move(by) {
  const place = listed.indexOf(picked);
  const next = place < 0 ? listed[by > 0 ? 0 : listed.length - 1] : listed[place + by];
  if (!next) { say("No further lesion in this list."); return; }
  if (opened) { open(next); return; }
  pick(next);
  bringIntoView(next);
  rows.get(next)?.querySelector(".open").focus({ preventScroll: true });
}

// Keep a decision for the picked lesion; null takes the mark of this browser back.
function markLesion(decision) {
  const lesion = picked;
  if (lesion === null) { say("No lesion is picked."); return; }
  if (desk?.read_only) { tell("You may look at this desk, and not mark.", true); return; }
  const reviewer = byId("reviewer").value.trim();
  if (!reviewer && (decision !== null || lesion.mark?.closes || desk)) {
    tell("Who marks? Enter your name or initials under Reviewer first.", true);
    byId("reviewer").focus();
    return;
  }
  // what the run has read is taken back by a mark of its own
  const given = decision === null && lesion.mark?.closes ? REOPEN : decision;
  keepMark(lesion.key, given === null ? null : {
    decision: given, reviewer, reviewed_at: localIso(Date.now()), score: lesion.score, image_count: lesion.image_count,
  });
  const next = listed[listed.indexOf(lesion) + 1] ?? null;
  const label = decision === null ? "mark taken back" : `marked: ${DECISIONS.get(decision)}`;
  tell(`${shown(lesion.label)}, ${patientOf(lesion)}, ${label}.`);
  refresh();
  if (decision !== null && next && stored(SETTINGS + "advance") !== "no") {
    if (opened) open(next);
    else { pick(next); bringIntoView(next); }
  } else if (opened) {
    drawDetail();
    byId("detail-title").focus({ preventScroll: true });
  }
}
