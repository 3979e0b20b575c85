// The table: of all rows only those near the window exist, so that 5,000 lesions cost as 50 do.

const HEADINGS = [
  ["rank", "#", "Rank"], ["picture", "Picture", null], ["label", "Lesion"], ["tier", "Tier"],
  ["score", "Score"], ["change", "Since last"], ["site", "Site"], ["patient", "Patient"],
  ["date", "Taken"], ["images", "Images"], ["mark", "Review"],
].filter(([name]) => (name !== "picture" || data.has_pictures)
  && (name !== "site" || lesions.some((lesion) => lesion.site || lesion.side))
  && (name !== "date" || lesions.some((lesion) => lesion.acquired)));
const SPARE = 12; // rows beyond the window, so that the Tab key always finds the next one
const SECTION = Symbol("section");

let entries = []; // what the table shows: lesions, and sections between them
let places = new Map(); // lesion to its place in entries
let rowHeight = 60;
let printing = false;
const rows = new Map(); // entry to its row

function drawHeadings() {
  byId("headings").replaceChildren(...HEADINGS.map(([name, label, spoken]) => {
    const title = spoken ?? label;
    const cell = element("th", { scope: "col", class: `c-${name}`, "data-label": title });
    if (spoken === null) {
      cell.append(element("span", { class: "aside" }, label));
      return cell;
    }
    const sorted = view.order === name;
    if (sorted) cell.setAttribute("aria-sort", view.down ? "descending" : "ascending");
    cell.append(element("button", {
      type: "button", "aria-label": `Sort by ${title.toLowerCase()}`, "data-order": name,
      onclick: () => { sortBy(name); refresh(); byId("headings").querySelector(`[data-order=${name}]`).focus(); },
    }, label + (sorted ? (view.down ? " ↓" : " ↑") : "")));
    return cell;
  }));
  byId("table").setAttribute("aria-colcount", HEADINGS.length);
}

// Sections stand between the tiers while the list is in order of priority.
function layOut() {
  entries = [];
  const grouped = view.order === "rank" && !view.down;
  let at = null;
  for (const lesion of listed) {
    const group = review(lesion).closed && lesion.status === "reviewed" ? "reviewed" : lesion.tier;
    if (grouped && group !== at) {
      const section = { [SECTION]: group, count: 0 };
      entries.push(section);
      at = group;
    }
    if (grouped) entries.findLast((entry) => entry[SECTION]).count += 1;
    entries.push(lesion);
  }
  places = new Map(entries.map((entry, place) => [entry, place]));
  for (const row of rows.values()) row.remove();
  rows.clear();
  byId("table").setAttribute("aria-rowcount", entries.length + 1);
  byId("empty").hidden = listed.length > 0;
}

function sectionRow(entry) {
  const name = entry[SECTION] === "reviewed" ? "Reviewed before" : TIERS.get(entry[SECTION]);
  const about = data.about_tier[entry[SECTION]] ?? "";
  return element("tr", { class: "section" }, element("td", {},
    name, " ", element("span", { class: "total" }, String(entry.count)), element("small", {}, about)));
}

const patientOf = (lesion) => (lesion.patient_label ? `patient ${shown(lesion.patient_label)}` : "patient not known");

// The image with the highest score; of equal ones the first by name, as the run decides.
function highest(images) {
  return images.reduce((top, each) => {
    const by = (each.score ?? -1) - (top.score ?? -1);
    return by > 0 || (by === 0 && each.id < top.id) ? each : top;
  }, images[0]);
}

// What is to be seen of the images since the night before, in two words.
const ARRIVALS = [["image_added", "new image"], ["image_replaced", "image replaced"], ["image_gone", "image gone"]];
const arrivals = (lesion) => ARRIVALS.filter(([flag]) => lesion.flags.includes(flag)).map(([, said]) => said).join(", ");

const CELLS = {
  rank: (lesion) => [String(lesion.rank)],
  picture: (lesion) => {
    const image = highest(lesion.images.filter((each) => each.picture !== null));
    if (!image) return [];
    const other = image !== highest(lesion.images) ? "Not the image with the highest score, of which there is no picture" : "";
    return [element("img", { src: pictureOf(image.picture), alt: other, title: other || null, loading: "lazy", decoding: "async" })];
  },
  label: (lesion) => [
    element("button", {
      type: "button", class: "open", title: shown(lesion.key), "aria-label": `Open lesion ${shown(lesion.label)}, ${patientOf(lesion)}`,
    }, shown(lesion.label)),
    element("span", { class: "sub", title: shown(lesion.reason) },
      element("span", { class: `badge ${lesion.tier}` }, TIERS.get(lesion.tier)),
      element("span", { class: "who" }, `${patientOf(lesion)}: `), shown(lesion.reason)),
  ],
  tier: (lesion) => [
    element("span", { class: `badge ${lesion.tier}` }, TIERS.get(lesion.tier)),
    element("span", { class: "sub" }, lesion.status === "open" ? `since ${date(lesion.first_listed_at)}` : lesion.status),
  ],
  score: (lesion) => [element("b", {}, score(lesion.score)), meter(lesion.score, lesion.threshold)],
  change: (lesion) => [element("span", { class: lesion.change >= 0.0005 ? "rose" : null }, change(lesion.change)),
    arrivals(lesion) ? element("span", { class: "sub came", title: arrivals(lesion) }, arrivals(lesion)) : null],
  site: (lesion) => [
    shown(lesion.site) || "not stated", element("span", { class: "sub" }, shown(lesion.side))],
  patient: (lesion) => [
    element("span", { title: shown(lesion.patient) }, lesion.patient ? shown(lesion.patient_label) : "not known"),
    element("span", { class: "sub", title: placeInPatient(lesion) }, placeInPatient(lesion)),
  ],
  date: (lesion) => [date(lesion.acquired)],
  images: (lesion) => [String(lesion.image_count), lesion.unreadable_count
    ? element("span", { class: "sub" }, `${lesion.unreadable_count} unread`) : null],
  mark: (lesion) => {
    const { mark, closed, why } = review(lesion);
    if (mark === null) return [element("span", { class: "sub" }, "to review")];
    const label = shown(DECISIONS.get(mark.decision) ?? mark.decision);
    if (!closed) return [element("span", { class: "again" }, "to review again"), element("span", { class: "sub", title: why }, label)];
    return [element("span", { class: "mark-label", title: label }, label), element("span", { class: "sub" }, shown(mark.reviewer))];
  },
};

function placeInPatient(lesion) {
  if (!lesion.lesions_of_patient) return "";
  const place = lesion.rank_in_patient ? `${ordinal(lesion.rank_in_patient)} of ${lesion.lesions_of_patient}` : "";
  return (lesion.is_outlier ? "stands out · " : "") + place;
}

function lesionRow(lesion) {
  const row = element("tr", { class: "lesion", "data-key": lesion.key });
  row.append(...HEADINGS.map(([name]) => element("td", { class: `c-${name}` }, ...CELLS[name](lesion).filter(Boolean))));
  row.classList.toggle("done", review(lesion).closed);
  return row;
}

const gaps = [0, 1].map(() => element("tr", { class: "gap", "aria-hidden": "true" },
  element("td")));

// Bring the rows that exist in line with what the window shows.
function drawRows() {
  const body = byId("rows");
  const top = body.getBoundingClientRect().top;
  const from = printing ? 0 : Math.max(0, Math.floor(-top / rowHeight) - SPARE);
  const first = Math.min(from, Math.max(0, entries.length - 1));
  const last = printing ? entries.length
    : Math.min(entries.length, Math.ceil((window.innerHeight - top) / rowHeight) + SPARE);
  const wanted = new Set(entries.slice(first, Math.max(last, first)));
  // a cell may span no more columns than there are: the stylesheet hides some where room is short
  const columns = [...byId("headings").children].filter((cell) => cell.offsetWidth).length || 1;
  for (const [entry, row] of rows) {
    if (!wanted.has(entry)) { row.remove(); rows.delete(entry); }
  }
  if (!gaps[0].isConnected) body.replaceChildren(...gaps);
  let after = gaps[0];
  for (const entry of wanted) {
    let row = rows.get(entry);
    if (!row) {
      row = entry[SECTION] ? sectionRow(entry) : lesionRow(entry);
      row.setAttribute("aria-rowindex", places.get(entry) + 2);
      row.classList.toggle("picked", entry === picked);
      rows.set(entry, row);
    }
    if (after.nextSibling !== row) after.after(row);
    after = row;
  }
  for (const row of [...gaps, ...rows.values()]) {
    if (!row.classList.contains("lesion")) row.firstChild.colSpan = columns;
  }
  gaps[0].firstChild.style.height = `${first * rowHeight}px`;
  gaps[1].firstChild.style.height = `${(entries.length - first - wanted.size) * rowHeight}px`;
  gaps[0].hidden = first === 0;
  gaps[1].hidden = first + wanted.size >= entries.length;
  const measured = [...rows.values()][0]?.getBoundingClientRect().height;
  if (!printing && measured && Math.abs(measured - rowHeight) > 0.5) {
    rowHeight = measured;
    drawRows();
  }
}

let waiting = false;
function drawRowsSoon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; drawRows(); });
}

// A row whose lesion changed is made anew; the focus stays in it.
function redraw(lesion) {
  const old = rows.get(lesion);
  if (!old) return;
  const held = old.contains(document.activeElement);
  const row = lesionRow(lesion);
  row.setAttribute("aria-rowindex", places.get(lesion) + 2);
  row.classList.toggle("picked", lesion === picked);
  old.replaceWith(row);
  rows.set(lesion, row);
  if (held) row.querySelector(".open").focus({ preventScroll: true });
}

// Scroll so that a lesion's row stands free of the bars at the top.
function bringIntoView(lesion) {
  const place = places.get(lesion);
  if (place === undefined) return;
  const above = byId("table").tHead.getBoundingClientRect().height + topHeight();
  const start = byId("rows").getBoundingClientRect().top + place * rowHeight;
  const low = window.innerHeight - 2 * rowHeight;
  if (start < above) window.scrollBy(0, start - above - rowHeight);
  else if (start > low) window.scrollBy(0, start - low);
  drawRows();
}
