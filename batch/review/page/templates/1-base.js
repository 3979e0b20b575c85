// What the page knows, and how it writes elements. Text goes in as text, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const lesions = data.lesions;
const byKey = new Map(lesions.map((lesion) => [lesion.key, lesion]));
const TIERS = new Map(data.tiers.map((tier) => [tier.value, tier.label]));
const DECISIONS = new Map(data.decisions.map((each) => [each.value, each.label]));

// What a desk tells of itself (batch/desk); null for a page that is opened as a file.
const desk = JSON.parse(document.documentElement.dataset.desk ?? "null");

const byId = (id) => document.getElementById(id);

// An element. attributes: strings; `on` + event: a function; `class`: class names.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// Characters that would hide, or turn round what follows, are shown by their number.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

function shown(text) {
  if (text === null || text === undefined) return "";
  return String(text).replace(
    HIDDEN, (mark) => "\\u" + mark.codePointAt(0).toString(16).padStart(4, "0"));
}

const flagWords = (flag) => shown(flag).replaceAll("_", " ");
const score = (value, digits = 3) => (value === null ? "–" : value.toFixed(digits));

function change(value) {
  if (value === null) return "–";
  if (Math.abs(value) < 0.0005) return "no change";
  return (value > 0 ? "▲ +" : "▼ −") + Math.abs(value).toFixed(3);
}

const date = (text) => (text ? shown(text).slice(0, 10) : "–");

// ISO 8601 as `2026-11-21 03:00 +01:00`. The program's times come in the page's zone, each with the
// offset of its day; those of a browser may be in UTC.
function instant(text) {
  const told = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(text ?? "") ? localIso(Date.parse(text)) : text;
  const parts = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::[\d.]+)?([+-]\d\d:\d\d)$/.exec(told ?? "");
  if (!parts) return shown(text);
  return `${parts[1]} ${parts[2]} ${parts[3] === "+00:00" ? data.zero_offset : parts[3]}`;
}

function ordinal(value) {
  const tail = value % 100 > 10 && value % 100 < 14 ? 0 : value % 10;
  return value + (["th", "st", "nd", "rd"][tail] || "th");
}

const counted = (count, one, many) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

// Length and threshold of a score's bar; lengths are set through the style object, which the
// content security policy allows, unlike style attributes.
function meter(value, threshold) {
  const bar = element("span", { class: "meter", "aria-hidden": "true" });
  if (value === null) return bar;
  const length = element("i");
  length.style.width = `${100 * Math.min(1, Math.max(0, value))}%`;
  bar.append(length);
  if (threshold !== null) {
    const line = element("u");
    line.style.left = `${100 * Math.min(1, Math.max(0, threshold))}%`;
    bar.append(line);
  }
  return bar;
}

// A picture's data: URI, or null; the script elements that hold them are read one at a time.
function pictureOf(number) {
  const held = number === null ? null : byId(`picture-${number}`);
  return held === null ? null : held.textContent;
}

function say(text) {
  byId("live").textContent = text;
}

function tell(text, wrong = false) {
  const message = byId("message");
  message.textContent = text;
  message.classList.toggle("wrong", wrong);
  message.hidden = !text;
}
