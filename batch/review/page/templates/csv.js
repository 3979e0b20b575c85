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

function csvText(known) {
  const columns = [...data.mark_columns, "diagnosis", "comment"]; // a run passes the last two over
  const rows = [...known].map(([key, mark]) => {
    const cells = { ...mark, lesion_key: key };
    return columns.map((name) => {
      const value = cells[name] ?? "";
      return typeof value === "string" ? spreadsheetSafe(value) : value;
    });
  });
  return [columns, ...rows].map((row) => row.map(csvCell).join(",") + "\r\n").join("");
}

// A file's text: UTF-8, or what a spreadsheet saves instead.
function textOf(bytes) {
  const starts = (...values) => values.every((value, at) => bytes[at] === value);
  if (starts(0x50, 0x4b, 3, 4) || starts(0xd0, 0xcf, 0x11, 0xe0)) {
    throw new Error("a spreadsheet's own file; save it as CSV (UTF-8)");
  }
  const even = bytes.length >= 4 && bytes.length % 2 === 0;
  if (starts(0xff, 0xfe) || (even && bytes[0] && !bytes[1] && !bytes[3])) return new TextDecoder("utf-16le").decode(bytes);
  if (starts(0xfe, 0xff) || (even && bytes[1] && !bytes[0] && !bytes[2])) return new TextDecoder("utf-16be").decode(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

// Rows of cells, RFC 4180, or with the separator that a spreadsheet's country has, or that a first
// line `sep=;` names; a quote that is never closed ends with the text.
function csvRows(text) {
  const named = /^\ufeff?(?:[\s,;]*[\r\n])*["']?sep=([^\w"'\s]|\t)["']?[;,\t]*[^\S\r\n]*(?:\r\n|\r|\n|$)/i.exec(text);
  const [head] = text.split(/[\r\n]+/).filter((line) => line.replace(/[\ufeff,;\s]/g, ""));
  const count = (letter) => (head ?? "").split(letter).length;
  const separator = named ? named[1] : [",", ";", "\t"].reduce((a, b) => (count(b) > count(a) ? b : a));
  const rows = [];
  let row = [], cell = "", quoted = false, at = named ? named[0].length : text.startsWith("\ufeff") ? 1 : 0;
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

const DATE = /^(\d{1,4})([./-]) ?(\d{1,2})\2 ?(\d{1,4})\.?(?:,? (?:um |at )?(\d.*))?$/;
const NAMED_DATE = /^(\d{1,2})(?:\. ?|[ -])(\p{L}{3,9})\.?[ -](\d{4}|\d{2})(?:,? (?:um |at )?(\d.*))?$/u;
const TIME = /^(\d{1,2})[:.](\d\d)(?:[:.](\d\d)(?:[.,]\d+)?)?(?: ?([ap])\.? ?m\.?)?(?: uhr)?(?: ?(z|utc|gmt|[+-]\d\d:?\d\d))?$/i;
const MONTHS = { jan: 1, feb: 2, mar: 3, mär: 3, mrz: 3, apr: 4, may: 5, mai: 5, jun: 6, jul: 7,
  aug: 8, sep: 9, oct: 10, okt: 10, nov: 11, dec: 12, dez: 12 };
const plainText = (text) => text.trim().replace(/\s+/g, " ");

// A day as ISO 8601, or null where the calendar has none.
function dayOf(year, month, day) {
  if (year.length !== 2 && year.length !== 4) return null;
  const full = year.length === 2 ? `20${year}` : year;
  const iso = `${full}-${String(month).padStart(2, "0")}-${String(day).padStart(2, "0")}`;
  const at = new Date(`${iso}T00:00:00Z`);
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(iso) ? iso : null;
}

// Order of day, month and year to the day that it makes of three numbers.
function daysOf([, first, separator, second, last]) {
  const orders = first.length > 2 ? ["ymd"]
    : separator === "." ? ["dmy"] : last.length > 2 ? ["dmy", "mdy"] : ["dmy", "mdy", "ymd"];
  const found = new Map();
  for (const order of orders) {
    const part = Object.fromEntries([...order].map((letter, at) => [letter, [first, second, last][at]]));
    const day = dayOf(part.y, part.m, part.d);
    if (day !== null) found.set(order, day);
  }
  return found;
}

// Separator to the orders that fit every date of a file.
function ordersOf(texts) {
  const found = new Map();
  for (const text of texts) {
    const parts = DATE.exec(plainText(text));
    const orders = parts ? [...daysOf(parts).keys()] : [];
    if (!orders.length) continue;
    const known = found.get(parts[2]) ?? orders;
    found.set(parts[2], known.filter((order) => orders.includes(order)));
  }
  return found;
}

// A mark's time as the run reads it, as ISO 8601; "" when it is none, null when it can be read two
// ways (03/04/2026) and no other date of the file tells which.
function timeOf(written, known) {
  const text = plainText(written);
  if (when({ reviewed_at: text })) return text;
  const parts = DATE.exec(text);
  const named = parts ? null : NAMED_DATE.exec(text);
  let day = null;
  if (parts) {
    const days = daysOf(parts);
    const all = [...new Set(days.values())];
    const orders = known.get(parts[2]) ?? [];
    const fitting = [...new Set([...days].filter(([order]) => orders.includes(order)).map(([, each]) => each))];
    const left = fitting.length ? fitting : all;
    if (left.length > 1) return null;
    [day = null] = left;
  } else if (named) {
    day = dayOf(named[3], MONTHS[named[2].slice(0, 3).toLowerCase()] ?? 13, named[1]);
  }
  const clock = (parts ?? named)?.at(-1);
  if (day === null || !clock) return day ?? "";
  const time = TIME.exec(clock);
  if (!time) return "";
  let hour = Number(time[1]);
  if (time[4]) {
    if (hour < 1 || hour > 12) return "";
    hour = (hour % 12) + (time[4].toLowerCase() === "p" ? 12 : 0);
  }
  const zone = (time[5] ?? "").toUpperCase().replace(/UTC|GMT/, "Z");
  const iso = `${day}T${String(hour).padStart(2, "0")}:${time[2]}:${time[3] ?? "00"}${zone}`;
  return when({ reviewed_at: iso }) ? iso : "";
}

// [[key, mark], ...] of a file's text, and how many rows could not be taken, and for what.
function marksOfCsv(text) {
  const [head, ...rows] = csvRows(text);
  const names = (head ?? []).map((name) => name.trim().toLowerCase());
  const needed = ["lesion_key", "decision", "reviewed_at"];
  const missing = needed.filter((name) => !names.includes(name));
  if (missing.length) throw new Error(`no column ${missing.join(", ")}; needed: ${needed.join(", ")}`);
  const safeKeys = new Map(lesions.map((lesion) => [spreadsheetSafe(lesion.key), lesion.key]));
  const found = [];
  let refused = 0, unclear = 0;
  const cell = (cells, name) => cells[names.indexOf(name)] ?? "";
  const told = rows.filter((cells) => ["decision", "reviewer", "reviewed_at"].some((name) => cell(cells, name).trim()));
  const orders = ordersOf(told.map((cells) => fromSpreadsheet(cell(cells, "reviewed_at"))));
  for (const cells of told) {
    const of = (name) => cell(cells, name);
    const number = (name) => (of(name).trim() === "" ? null : Number(of(name).replace(",", ".")));
    const time = timeOf(fromSpreadsheet(of("reviewed_at")), orders);
    if (time === null) { unclear += 1; continue; }
    const key = safeKeys.get(of("lesion_key")) ?? fromSpreadsheet(of("lesion_key"));
    const mark = soundMark({
      decision: fromSpreadsheet(of("decision")),
      reviewer: fromSpreadsheet(of("reviewer")),
      reviewed_at: time,
      score: number("score"),
      image_count: number("image_count"),
      diagnosis: fromSpreadsheet(of("diagnosis")),
      comment: fromSpreadsheet(of("comment")),
    });
    if (key && mark !== null) found.push([key, mark]);
    else refused += 1;
  }
  return { found, refused, unclear };
}

function exportMarks() {
  const known = allMarks();
  const file = new Blob([csvText(known)], { type: "text/csv;charset=utf-8" });
  const link = element("a", { href: URL.createObjectURL(file), download: "reviewed.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  store(EXPORTED, String(Date.now()));
  tell(t("exported", known.size));
}

async function importMarks(file) {
  try {
    if (file.size > MOST_BYTES) throw new Error(`${file.size} bytes; allowed: ${MOST_BYTES}`);
    const { found, refused, unclear } = marksOfCsv(textOf(new Uint8Array(await file.arrayBuffer())));
    let taken = 0;
    for (const [key, mark] of found) {
      const known = newer(byKey.get(key)?.mark ?? null, marks.get(key) ?? null);
      if (known !== null && newer(known, mark) === known) continue;
      keepMark(key, mark);
      taken += 1;
      store(EXPORTED, String(Date.now())); // they stand in a file that a night may read
    }
    const older = found.length - taken;
    tell(
      t("imported", taken) + (older ? t("importOlder", older) : "") +
        (refused ? t("importRefused", refused) : "") + (unclear ? t("importUnclear", unclear) : "") + ".",
      refused + unclear > 0);
  } catch (error) {
    tell(t("importFailed", error.message), true);
  }
}
