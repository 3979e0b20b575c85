// What the page knows, and how it writes elements. Text goes in as text, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const lesions = data.lesions;
const byKey = new Map(lesions.map((lesion) => [lesion.key, lesion]));
const TIERS = data.tiers; // in the order of the list
const DECISIONS = data.decisions; // in the order of the keys 1 to 4

// What a desk tells of itself (batch/desk); null for a page that is opened as a file.
const desk = JSON.parse(document.documentElement.dataset.desk ?? "null");

const byId = (id) => document.getElementById(id);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// An element. attributes: strings; `on` + event: a function; `style`: an object.
function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function drawing(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(key.slice(2), value);
    else if (key === "style") Object.entries(value).forEach(([name, text]) => made.style.setProperty(name, text));
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

const icon = (name) => drawing("svg", { class: "i", "aria-hidden": "true" }, drawing("use", { href: `#i-${name}` }));

// Characters that would hide, or turn round what follows, are shown by their number.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

function shown(text) {
  if (text === null || text === undefined) return "";
  return String(text).replace(
    HIDDEN, (mark) => "\\u" + mark.codePointAt(0).toString(16).padStart(4, "0"));
}

// Language: what a person chose here, what the night was told, what the browser asks for.
const LANGUAGES = Object.keys(TEXT);

function browserLanguage() {
  const asked = (navigator.languages ?? [navigator.language]).map((name) => name.slice(0, 2));
  return asked.find((name) => LANGUAGES.includes(name)) ?? "en";
}

let language = "en";

function t(key, ...values) {
  const text = TEXT[language][key] ?? TEXT.en[key];
  return typeof text === "function" ? text(...values) : text;
}

const factName = (key) => TEXT[language].facts?.[key] ?? TEXT.en.facts[key];

const locale = () => (language === "en" ? "en-GB" : language);
const dayFormats = new Map(); // by language: making one takes longer than using it a hundred times

function dayFormat() {
  if (!dayFormats.has(language)) {
    dayFormats.set(language, new Intl.DateTimeFormat(locale(), { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" }));
  }
  return dayFormats.get(language);
}

// An ISO date or time as a day, by the language; other text as it is.
function day(text) {
  const parts = /^(\d{4})-(\d\d)-(\d\d)/.exec(text ?? "");
  if (!parts) return text ? shown(text) : "";
  const date = new Date(`${parts[0]}T00:00:00Z`);
  if (Number.isNaN(date.getTime())) return shown(text).slice(0, 10);
  return dayFormat().format(date);
}

// ISO 8601 as `2026-11-21 03:00 +01:00`. The program's times come in the page's zone, each with the
// offset of its day; those of a browser may be in UTC.
function instant(text) {
  const local = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(text ?? "") ? localIso(Date.parse(text)) : text;
  const parts = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::[\d.]+)?([+-]\d\d:\d\d)$/.exec(local ?? "");
  if (!parts) return shown(text);
  return `${parts[1]} ${parts[2]} ${parts[3] === "+00:00" ? data.zero_offset : parts[3]}`;
}

const count = (number) => number.toLocaleString(locale());
const decimals = (value, digits) => (value === null || value === undefined ? "–"
  : value.toLocaleString(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits }));

// Distance of a score to its threshold in log odds: 0 is the alert line.
function distance(score, threshold) {
  if (score === null || score === undefined || threshold === null || threshold === undefined) return null;
  const odds = (share) => Math.log(share / (1 - share));
  const within = (share) => Math.min(Math.max(share, 1e-6), 1 - 1e-6);
  return odds(within(score)) - odds(within(threshold));
}

function signed(value) {
  if (value === null) return "–";
  const size = decimals(Math.abs(value), 1);
  // what rounds to 0 and lies below the line must not read as on it
  return (value < 0 ? "−" : "+") + size;
}

// Words for a screen reader, which then speaks them.
function say(text) {
  byId("live").textContent = text;
}

let toastTimer = 0;

// A message that a person must see; with undo, a button that takes a mark back.
function tell(text, wrong = false, undo = null) {
  const message = byId("message");
  clearTimeout(toastTimer);
  message.classList.toggle("wrong", wrong);
  message.replaceChildren(element("span", {}, text),
    undo ? element("button", { type: "button", id: "undo-last", onclick: undo }, t("takeBack"), " ", element("kbd", {}, "0")) : "",
    element("button", { type: "button", class: "icon-only", "aria-label": t("close"), onclick: () => { message.hidden = true; } }, icon("x")));
  message.hidden = !text;
  if (text && !wrong) toastTimer = setTimeout(() => { message.hidden = true; }, 8000);
}
