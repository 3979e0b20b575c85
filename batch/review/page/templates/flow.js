// What of a list is shown when only a part of it exists: entries of known height, one after the
// other, of which those near the window are in the document. 5,000 lesions cost as 50 do.
class Flow {
  // entries: [{ kind, make }]. heights: pixels by kind, corrected by what is measured.
  constructor(box, heights) {
    this.box = box;
    this.heights = heights;
    this.entries = [];
    this.made = new Map();
    this.gaps = [0, 1].map(() => element("div", { class: "gap", "aria-hidden": "true" }));
  }

  show(entries) {
    this.entries = entries;
    this.made.clear();
    this.box.replaceChildren(...this.gaps);
    this.draw();
  }

  offsets() {
    let at = 0;
    const starts = this.entries.map((entry) => { const start = at; at += this.heights[entry.kind]; return start; });
    return [...starts, at];
  }

  draw() {
    const starts = this.offsets();
    const top = this.box.getBoundingClientRect().top;
    const spare = 900; // pixels beyond the window, so that the Tab key always finds the next one
    const first = Math.max(0, firstAfter(starts, -top - spare) - 1);
    const last = Math.min(this.entries.length, Math.max(first + 1, firstAfter(starts, window.innerHeight - top + spare)));
    for (const [at, made] of this.made) if (at < first || at >= last) { made.remove(); this.made.delete(at); }
    let after = this.gaps[0];
    for (let at = first; at < last; at += 1) {
      if (!this.made.has(at)) this.made.set(at, this.entries[at].make());
      const made = this.made.get(at);
      if (after.nextSibling !== made) after.after(made);
      after = made;
    }
    this.gaps[0].style.height = `${starts[first] ?? 0}px`;
    this.gaps[1].style.height = `${starts.at(-1) - (starts[last] ?? starts.at(-1))}px`;
    if (this.measure()) this.draw();
  }

  // Whether an entry is of another height than was thought.
  measure() {
    let changed = false;
    const seen = new Set();
    for (const [at, made] of this.made) {
      const { kind } = this.entries[at];
      const height = made.getBoundingClientRect().height + parseFloat(getComputedStyle(made).marginBottom);
      if (seen.has(kind) || !height) continue;
      seen.add(kind);
      if (Math.abs(height - this.heights[kind]) > 1) { this.heights[kind] = height; changed = true; }
    }
    return changed;
  }

  // Scroll so that an entry stands in the middle of the window, and exists.
  bring(at, smoothly = false) {
    const starts = this.offsets();
    const top = this.box.getBoundingClientRect().top + window.scrollY;
    const middle = top + (starts[at] + starts[at + 1]) / 2 - window.innerHeight / 2;
    const seen = this.made.get(at)?.getBoundingClientRect();
    if (!seen || seen.top < 120 || seen.bottom > window.innerHeight - 8) window.scrollTo({ top: Math.max(0, middle), behavior: smoothly ? "smooth" : "instant" });
    this.draw();
  }
}

// The first place of a sorted list whose number is larger.
function firstAfter(numbers, wanted) {
  let low = 0, high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] > wanted) high = middle; else low = middle + 1;
  }
  return low;
}
