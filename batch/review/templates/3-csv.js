// reviewed.csv, as the next run reads it and a spreadsheet shows it without running anything.

const FORMULA = /^'*[=+\-@＝＋－＠]/;
const UNPRINTABLE = /[\p{C}\p{Z}]/gu;
const MOST_BYTES = 64 * 1024 * 1024;

function spreadsheetSafe(text) {
  const plain = text.replace(UNPRINTABLE, (mark) => {
    if (mark === " ") return mark;
    const code = mark.codePointAt(0).toString(16);
    return code.length <= 2 ? "\\x" + code.padStart(2, "0") : "\\u" + code.padStart(4, "0");
  });
  return FORMULA.test(plain) ? "'" + plain : plain;
}

function fromSpreadsheet(cell) {
  return cell.startsWith("'") && FORMULA.test(cell) ? cell.slice(1) : cell;
}

function csvCell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csvText(all) {
  const rows = [...all].map(([key, mark]) => {
    const cells = { ...mark, lesion_key: key };
    return data.mark_columns.map((name) => {
      const value = cells[name] ?? "";
      return typeof value === "string" ? spreadsheetSafe(value) : value;
    });
  });
  return [data.mark_columns, ...rows].map((row) => row.map(csvCell).join(",") + "\r\n").join("");
}

// Rows of cells, RFC 4180, or with the separator that a spreadsheet's country has; a quote that is
// never closed ends with the text.
function csvRows(text) {
  const head = text.split("\n", 1)[0];
  const count = (letter) => head.split(letter).length;
  const separator = [",", ";", "\t"].reduce((a, b) => (count(b) > count(a) ? b : a));
  const rows = [];
  let row = [], cell = "", quoted = false, at = text.startsWith("\ufeff") ? 1 : 0;
  for (; at < text.length; at += 1) {
    const letter = text[at];
    if (quoted) {
      if (letter !== '"') cell += letter;
      else if (text[at + 1] === '"') { cell += '"'; at += 1; } else quoted = false;
    } else if (letter === '"' && cell === "") quoted = true;
    else if (letter === separator) { row.push(cell); cell = ""; }
    else if (letter === "\n" || letter === "\r") {
      if (letter === "\r" && text[at + 1] === "\n") at += 1;
      rows.push([...row, cell]);
      row = []; cell = "";
    } else cell += letter;
  }
  if (cell !== "" || row.length) rows.push([...row, cell]);
  return rows.filter((cells) => cells.some((each) => each.trim() !== ""));
}

// [[key, mark], ...] of a file's text, and how many rows could not be taken.
function marksOfCsv(text) {
  const [head, ...rows] = csvRows(text);
  const names = (head ?? []).map((name) => name.trim().toLowerCase());
  const needed = ["lesion_key", "decision", "reviewed_at"];
  const missing = needed.filter((name) => !names.includes(name));
  if (missing.length) throw new Error(`no column ${missing.join(", ")}; needed: ${needed.join(", ")}`);
  const safeKeys = new Map(lesions.map((lesion) => [spreadsheetSafe(lesion.key), lesion.key]));
  const found = [];
  let refused = 0;
  for (const cells of rows) {
    const of = (name) => cells[names.indexOf(name)] ?? "";
    const number = (name) => (of(name).trim() === "" ? null : Number(of(name)));
    const key = safeKeys.get(of("lesion_key")) ?? fromSpreadsheet(of("lesion_key"));
    const mark = soundMark({
      decision: fromSpreadsheet(of("decision")),
      reviewer: fromSpreadsheet(of("reviewer")),
      reviewed_at: fromSpreadsheet(of("reviewed_at")),
      score: number("score"),
      image_count: number("image_count"),
    });
    if (key && mark !== null) found.push([key, mark]);
    else refused += 1;
  }
  return { found, refused };
}

function exportMarks() {
  const all = allMarks();
  const file = new Blob([csvText(all)], { type: "text/csv;charset=utf-8" });
  const link = element("a", { href: URL.createObjectURL(file), download: "reviewed.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  tell(`Exported ${counted(all.size, "mark", "marks")} as reviewed.csv.`);
}

async function importMarks(file) {
  try {
    if (file.size > MOST_BYTES) throw new Error(`${file.size} bytes; allowed: ${MOST_BYTES}`);
    const { found, refused } = marksOfCsv(await file.text());
    let taken = 0;
    for (const [key, mark] of found) {
      const known = newer(byKey.get(key)?.mark ?? null, marks.get(key) ?? null);
      if (known !== null && newer(known, mark) === known) continue;
      keepMark(key, mark);
      taken += 1;
    }
    const older = found.length - taken;
    tell(
      `Imported ${counted(taken, "mark", "marks")}` +
        (older ? `; ${older} not newer than what is known here` : "") +
        (refused ? `; ${counted(refused, "row", "rows")} without lesion_key, decision or time` : "") +
        ".", refused > 0);
  } catch (error) {
    tell(`Nothing imported: ${error.message}.`, true);
  }
}
