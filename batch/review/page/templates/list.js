// The list: a row a lesion, with a small picture; the same groups and order as the gallery.

const listFlow = new Flow(byId("list-flow"), { head: 54, later: 78, row: 58, empty: 330, none: 300 });
const HEADINGS = [
  ["rank", "number"], ["picture", null], ["patient", "patient"], ["site", "site"], ["label", "lesion"], ["tier", null],
  ["score", "score"], ["change", "since"], ["images", "images"], ["date", "taken"], ["mark", "review"],
];

function drawHeadings() {
  byId("headings").replaceChildren(...HEADINGS.map(([name, text]) => {
    const cell = element("div", { role: "columnheader", class: `c-${name}` });
    if (text === null) {
      cell.append(element("span", { class: name === "picture" ? "sr" : null }, t(name === "picture" ? "pictureTools" : "tier")));
      return cell;
    }
    const isSorted = view.order === name;
    if (isSorted) cell.setAttribute("aria-sort", view.down ? "descending" : "ascending");
    cell.append(element("button", { type: "button", "data-order": name, onclick: () => {
      setOrder(name, view.order === name ? !view.down : Boolean(ORDERS[name].down));
      byId("headings").querySelector(`[data-order=${name}]`).focus();
    } }, t(text), isSorted ? (view.down ? " ↓" : " ↑") : ""));
    return cell;
  }));
}

function listRow(lesion) {
  const { mark, closed, why: opened } = review(lesion);
  const image = face(lesion);
  const moved = movement(lesion);
  const [main, site, end] = names(lesion);
  const cells = {
    rank: isRanked(lesion) && wasOpen(lesion) ? String(lesion.rank) : "",
    picture: image ? picture(image, "", { loading: "lazy" }) : element("span", { class: "ph" }, icon("broken")),
    patient: element("a", { class: "open", href: lesionHash(lesion), "aria-label": `${t(lesion.tier)}: ${who(lesion)}` }, main),
    site,
    label: lesion.patient_label ? end : "",
    tier: [tierMark(lesion), lesion.is_outlier ? element("small", {}, t("standsOutShort")) : null],
    score: scale(lesion),
    change: !moved ? "–" : Math.abs(moved.by) < 0.05 ? decimals(0, 1) : signed(moved.by),
    images: [String(lesion.image_count), lesion.unreadable_count ? element("small", {}, `${lesion.unreadable_count} ${t("unreadable")}`) : null],
    date: lesion.acquired ? day(lesion.acquired) : "–",
    mark: closed ? [decisionWord(mark), element("small", {}, shown(mark.reviewer))]
      : mark !== null && opened ? element("small", {}, TEXT[language].reopenedBy[opened])
        : badges(lesion),
  };
  return element("div", { class: closed ? "row done" : "row", role: "row", "data-key": lesion.key, onclick: (event) => {
    if (!event.target.closest("a") && !String(window.getSelection())) location.hash = lesionHash(lesion);
  } }, HEADINGS.map(([name]) => element("div", { role: "cell", class: `c-${name}${["rank", "change", "images", "date"].includes(name) ? " num" : ""}` }, cells[name])));
}

function drawList() {
  drawHeadings();
  const head = (group) => element("div", { role: "row", class: "group-row" }, element("div", { role: "cell" }, groupHead(group, "h2")));
  const flat = (make) => () => element("div", { role: "row" }, element("div", { role: "cell" }, make()));
  const entries = entriesOf(choose(), (group) => group.map((lesion) => (
    { kind: "row", lesions: [lesion], make: () => listRow(lesion) })), head);
  for (const entry of entries) if (["empty", "none"].includes(entry.kind)) entry.make = flat(entry.make);
  entries.forEach((entry, at) => {
    const { make } = entry;
    entry.make = () => { const made = make(); made.setAttribute("aria-rowindex", String(at + 2)); return made; };
  });
  byId("table").setAttribute("aria-rowcount", String(entries.length + 1));
  listFlow.show(entries);
}
