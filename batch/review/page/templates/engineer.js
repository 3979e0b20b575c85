// What an engineer asks of a lesion, folded below what a reviewer needs.

function classTable(image) {
  const classes = data.classes.map((name, at) => [name, image.classes?.[at] ?? null]).filter(([, share]) => share !== null);
  if (!classes.length) return null;
  classes.sort((one, other) => other[1] - one[1]);
  return element("table", { class: "plain", "aria-label": factName("classes") }, element("tbody", {}, classes.map(([name, share]) =>
    element("tr", { class: name === data.melanoma_class ? "melanoma" : null }, element("th", { scope: "row" }, shown(name)), element("td", { class: "num" }, decimals(share, 3))))));
}

function earlierTable(image) {
  if (!image.earlier.length) return null;
  return element("table", { class: "plain", "aria-label": factName("earlier") }, element("tbody", {}, [...image.earlier].reverse().map(([night, share, model]) =>
    element("tr", {}, element("th", { scope: "row" }, day(night)), element("td", { class: "num" }, decimals(share, 4)), element("td", {}, shown(model))))));
}

const flagWords = (flags) => flags.map((flag) => shown(flag).replaceAll("_", " ")).join(", ");

function imageFacts(image, at) {
  const frame = image.frame === null ? "" : `, ${t("frame", image.frame)}`;
  return [element("h3", {}, `${at + 1}. ${image.taken ? day(image.taken) : t("dateUnknown")}`),
    definitions([["picture", element("code", {}, shown(image.path) + frame)], ["score", image.score === null ? "" : decimals(image.score, 4)],
      ["flags", flagWords(image.flags)], ["arrival", image.arrival ? flagWords([image.arrival]) : ""]]), classTable(image), earlierTable(image)];
}

function definitions(rows) {
  return element("dl", { class: "kv" }, rows.filter(([, told]) => told !== "" && told !== null).map(([name, told]) =>
    [element("dt", {}, factName(name)), element("dd", {}, told)]));
}

function nightBefore(lesion) {
  if (lesion.previous === null) return "";
  const moved = lesion.change === null ? "" : ` (${lesion.change >= 0 ? "+" : "−"}${decimals(Math.abs(lesion.change), 4)})`;
  return `${decimals(lesion.previous, 4)}${moved}${lesion.previous_model ? `, ${shown(lesion.previous_model)}` : ""}`;
}

function engineerBlock(lesion) {
  const scored = lesion.score !== null;
  const away = scored ? `${lesion.margin > 0 ? "+" : "−"}${decimals(Math.abs(lesion.margin ?? 0), 4)}` : "";
  return element("div", { class: "block" }, element("details", { class: "fold", id: "engineer" }, element("summary", {}, t("details")),
    definitions([
      ["reason", shown(lesion.reason)],
      ["score", scored ? `${t("meanOf", decimals(lesion.score, 4), decimals(lesion.mean, 4))} (${t("rankNote")})` : ""],
      ["threshold", lesion.threshold === null ? "" : t("alertFrom", decimals(lesion.threshold, 4), away)],
      ["spread", lesion.spread === null ? "" : `±${decimals(lesion.spread, 4)}`],
      ["model", shown(lesion.model)], ["before", nightBefore(lesion)], ["listed", instant(lesion.first_listed_at)], ["alerted", instant(lesion.first_alerted_at)],
      ["patientId", [lesion.patient_id, lesion.issuer].filter(Boolean).map(shown).join(", ")],
      ["within", lesion.rank_in_patient ? t("ordinalOf", lesion.rank_in_patient, lesion.lesions_of_patient) : ""],
      ["newest", lesion.acquired ? shown(lesion.acquired) : ""],
      ["images", `${lesion.image_count}${lesion.unreadable_count ? `, ${t("withoutScore", lesion.unreadable_count)}` : ""}`],
      ["flags", flagWords(lesion.flags)], ["accession", shown(lesion.accession)], ["study", lesion.study_uids.map(shown).join(", ")],
      ["key", element("code", {}, shown(lesion.key))],
    ]), lesion.images.map(imageFacts), lesion.unread.map((file) => definitions([["picture", element("code", {}, shown(file.path))], ["reason", flagWords([file.reason])]]))));
}
