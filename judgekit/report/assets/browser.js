
// The judgment browser. Text from outside becomes text nodes only, never markup.
const ROW = 52; // pixels of a row in the list, as in the style sheet
const FACETS = ["judge", "benchmark", "subset", "outcome"];
const OUTCOMES = ["right", "wrong", "tie", "inconsistent", "invalid", "unlabelled"];

async function unpack(packed) {
  const letters = atob(packed);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

function make(tag, className = "", ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

// One item is what one judge said about one pair.
function itemsOf(data) {
  const subsets = [...new Set(data.pairs.map((pair) => pair.subset ?? ""))].sort();
  const place = new Map(subsets.map((name, index) => [name, index]));
  const items = data.judged.map((judged, index) => {
    const pair = data.pairs[judged.pair];
    return {
      index,
      pair,
      judge: judged.judge,
      benchmark: pair.benchmark,
      subset: place.get(pair.subset ?? ""),
      outcome: judged.outcome,
      reasons: judged.reasons,
      verdicts: judged.verdicts,
      size: judged.verdicts.reduce((sum, row) => sum + row.text.length + (row.thought?.length ?? 0), 0),
      sure: sureness(judged.verdicts),
      address: ["#judgment", data.benchmarks[pair.benchmark], data.judges[judged.judge], pair.id]
        .map((part, at) => (at ? encodeURIComponent(part) : part))
        .join("/"),
    };
  });
  for (const item of items) (item.pair.items ??= []).push(item);
  return { items, subsets };
}

// Mean of max(P(A), 1 - P(A)) over the judgments that have one.
function sureness(verdicts) {
  const known = verdicts.filter((row) => row.p_a !== undefined).map((row) => Math.max(row.p_a, 1 - row.p_a));
  return known.length ? known.reduce((a, b) => a + b) / known.length : null;
}

function pairText(pair) {
  pair.lower ??= [pair.id, pair.instruction, pair.response_a, pair.response_b, pair.reference ?? ""]
    .join("\n")
    .toLowerCase();
  return pair.lower;
}

function itemText(item) {
  item.lower ??= item.verdicts.map((row) => `${row.invalid ?? ""}\n${row.thought ?? ""}\n${row.text}`).join("\n").toLowerCase();
  return item.lower;
}

// What an item counts under in a facet; an invalid one also under each of its reasons.
function keysOf(item, facet) {
  if (facet === "outcome") return [item.outcome, ...item.reasons.map((reason) => `invalid: ${reason}`)];
  return [String(item[facet])];
}

// Which items fit, and for each facet how many would under each of its values.
function filter(items, wanted) {
  const found = [];
  const counts = Object.fromEntries(FACETS.map((facet) => [facet, new Map()]));
  const search = wanted.search.toLowerCase();
  const matches = new Map(); // of pairs, which several items share
  for (const item of items) {
    const failed = FACETS.filter((facet) => wanted[facet] !== "" && !keysOf(item, facet).includes(wanted[facet]));
    if (failed.length > 1 || (wanted.differ && !differs(item, wanted.other))) continue;
    if (search) {
      if (!matches.has(item.pair)) matches.set(item.pair, pairText(item.pair).includes(search));
      if (!matches.get(item.pair) && !itemText(item).includes(search)) continue;
    }
    if (!failed.length) found.push(item);
    for (const facet of failed.length ? failed : FACETS) {
      for (const key of keysOf(item, facet)) counts[facet].set(key, (counts[facet].get(key) ?? 0) + 1);
    }
  }
  return { found, counts };
}

function otherOf(item, judge) {
  return judge === "" ? undefined : item.pair.items.find((held) => String(held.judge) === judge && held !== item);
}

function differs(item, judge) {
  const other = otherOf(item, judge);
  return other !== undefined && other.outcome !== item.outcome;
}

const SORTS = {
  "as in the files": (a, b) => a.index - b.index,
  "by pair id": (a, b) => (a.pair.id < b.pair.id ? -1 : a.pair.id > b.pair.id ? 1 : 0),
  "by outcome": (a, b) => OUTCOMES.indexOf(a.outcome) - OUTCOMES.indexOf(b.outcome),
  "longest judgment": (a, b) => b.size - a.size,
  "shortest judgment": (a, b) => a.size - b.size,
  "least sure": (a, b) => (a.sure ?? 2) - (b.sure ?? 2),
  "most sure": (a, b) => (b.sure ?? -1) - (a.sure ?? -1),
};

// The list draws only the rows that can be seen.
class List {
  constructor(box, describe, choose) {
    Object.assign(this, { box, describe, shown: [], chosen: null });
    this.spacer = box.querySelector(".spacer");
    box.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(box);
    box.addEventListener("click", (event) => {
      const row = event.target.closest("[role=option]");
      if (row) choose(this.shown[Number(row.dataset.place)]);
    });
  }

  show(items) {
    this.shown = items;
    this.spacer.style.height = `${items.length * ROW}px`;
    this.draw();
  }

  choose(item) {
    this.chosen = item;
    const top = this.shown.indexOf(item) * ROW;
    if (top >= 0) {
      const { scrollTop, clientHeight } = this.box;
      if (top < scrollTop) this.box.scrollTop = top;
      else if (top + ROW > scrollTop + clientHeight) this.box.scrollTop = top + ROW - clientHeight;
    }
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - 4);
    const last = Math.min(this.shown.length, first + Math.ceil(this.box.clientHeight / ROW) + 8);
    const rows = [];
    for (let place = first; place < last; place++) {
      const item = this.shown[place];
      const row = this.describe(item);
      row.id = `row-${place}`;
      row.dataset.place = place;
      row.style.top = `${place * ROW}px`;
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", String(item === this.chosen));
      row.setAttribute("aria-posinset", place + 1);
      row.setAttribute("aria-setsize", this.shown.length);
      rows.push(row);
    }
    this.spacer.replaceChildren(...rows);
    const place = this.shown.indexOf(this.chosen);
    if (place >= 0) this.box.setAttribute("aria-activedescendant", `row-${place}`);
    else this.box.removeAttribute("aria-activedescendant");
  }
}

// The judgment that is shown: the pair, what every judge makes of it, and the judgments of one or two judges.
function detailOf(data, item, other, choose) {
  const { pair } = item;
  const place = [data.benchmarks[pair.benchmark], pair.subset, pair.id].filter(Boolean).join(" · ");
  const link = make("a", "link", "link to this judgment");
  link.href = item.address;
  const judges = make("div", "judges");
  for (const held of pair.items) {
    const button = make("button", held === item ? "chosen" : "", data.judges[held.judge], " ", outcomeOf(held));
    button.type = "button";
    button.addEventListener("click", () => choose(held));
    judges.append(button);
  }
  const parts = [make("p", "place", place, link), make("div", "text instruction", pair.instruction), answersOf(pair)];
  if (pair.reference) {
    parts.push(make("details", "", make("summary", "", "Reference answer"), make("div", "text", pair.reference)));
  }
  parts.push(judges, judgmentsOf(data, item));
  if (other) parts.push(judgmentsOf(data, other));
  return parts;
}

function answersOf(pair) {
  const answers = make("div", "answers");
  for (const [letter, text] of [["A", pair.response_a], ["B", pair.response_b]]) {
    const better = pair.label === letter;
    const word = better ? "better by the label" : pair.label === "tie" ? "a tie by the label" : "";
    const model = letter === "A" ? pair.model_a : pair.model_b;
    const note = [model, word].filter(Boolean).join(" · ");
    answers.append(
      make("div", better ? "answer better" : "answer", make("h4", "", letter, " ", make("span", "muted", note)), make("div", "text", text)),
    );
  }
  return answers;
}

function outcomeOf(item) {
  return make("span", `outcome ${item.outcome}`, item.outcome);
}

function judgmentsOf(data, item) {
  const reasons = item.reasons.length ? make("span", "muted", item.reasons.join(", ")) : "";
  const orders = make("div", "orders");
  for (const order of ["ab", "ba"]) {
    const rows = item.verdicts.filter((row) => row.order === order);
    if (!rows.length) continue;
    const column = make("div", "order", make("h4", "", order === "ab" ? "A shown first" : "B shown first"));
    rows.forEach((row, at) => column.append(judgmentOf(row, item.pair.label, rows.length, at === 0)));
    orders.append(column);
  }
  return make("div", "judgment", make("h3", "", data.judges[item.judge], " ", outcomeOf(item), " ", reasons), orders);
}

function judgmentOf(row, label, samples, open) {
  const line = make("summary", "");
  if (row.verdict === undefined) line.append(make("span", "verdict none", `no verdict: ${row.invalid}`));
  else {
    const kind = label === undefined ? "" : row.verdict === label ? "hit" : "miss";
    line.append(make("span", `verdict ${kind}`, row.verdict === "tie" ? "tie" : `${row.verdict} is better`));
  }
  const notes = [];
  if (row.p_a !== undefined) notes.push(`P(A) ${row.p_a.toFixed(2)}`);
  if (row.score_a !== undefined || row.score_b !== undefined) {
    notes.push(`scores A ${row.score_a ?? "–"}, B ${row.score_b ?? "–"}`);
  }
  if (samples > 1) notes.push(`sample ${row.sample}`);
  line.append(make("small", "", notes.join(" · ")));
  const details = make("details", "said", line);
  if (row.thought) {
    const size = `thought, ${row.thought.length.toLocaleString("en")} characters`;
    details.append(make("details", "thought", make("summary", "", size), make("pre", "", row.thought)));
  }
  details.append(make("pre", "", row.text || (row.thought ? "(no answer)" : "(no text)")));
  details.open = open;
  return details;
}

function rowOf(data, item, other) {
  const top = make("div", "", outcomeOf(item));
  if (other) top.append(make("span", "against", "against "), outcomeOf(other));
  top.append(make("span", "who", data.judges[item.judge]));
  const names = [data.benchmarks.length > 1 ? data.benchmarks[item.benchmark] : "", item.pair.subset, item.pair.id];
  const below = `${names.filter(Boolean).join(" · ")}  ${item.pair.instruction.slice(0, 160)}`;
  return make("div", "row", top, make("div", "muted", below));
}

function fill(select, options, counts) {
  const chosen = select.value;
  select.replaceChildren(
    ...options
      .filter(([value]) => !counts || value === "" || value === chosen || counts.get(value))
      .map(([value, text]) => new Option(!counts || value === "" ? text : `${text} (${counts.get(value) ?? 0})`, value)),
  );
  select.value = chosen;
  if (select.selectedIndex < 0) select.selectedIndex = 0;
}

function browse(data) {
  const { items, subsets } = itemsOf(data);
  const form = document.getElementById("filters");
  const controls = form.elements;
  const detail = document.getElementById("detail");
  const list = new List(
    document.getElementById("list"),
    (item) => rowOf(data, item, otherOf(item, controls.other.value)),
    (item) => choose(item),
  );
  const reasons = [...new Set(items.flatMap((item) => item.reasons))].sort();
  const named = (names) => [["", "all"], ...names.map((name, place) => [String(place), name || "none"])];
  const options = {
    judge: named(data.judges),
    benchmark: named(data.benchmarks),
    subset: named(subsets),
    outcome: ["", ...OUTCOMES, ...reasons.map((reason) => `invalid: ${reason}`)].map((name) => [name, name || "all"]),
  };
  const sorts = Object.keys(SORTS).filter((name) => !name.endsWith(" sure") || items.some((item) => item.sure !== null));
  fill(controls.sort, sorts.map((name) => [name, name]));
  fill(controls.other, [["", "none"], ...data.judges.map((name, place) => [String(place), name])]);
  let shown = null;
  let typing = 0;

  function choose(item, address = true) {
    shown = item ?? null;
    list.choose(shown);
    if (item) detail.replaceChildren(...detailOf(data, item, otherOf(item, controls.other.value), choose));
    else detail.replaceChildren(make("p", "muted", "No judgment fits."));
    detail.scrollTop = 0;
    if (address) history.replaceState(null, "", item ? item.address : "#judgments");
  }

  // What is shown stays while it fits, except under a new order: that begins at its top.
  function refresh(address = true, keep = true) {
    controls.differ.closest("label").hidden = controls.other.value === "";
    if (controls.other.value === "") controls.differ.checked = false;
    const wanted = Object.fromEntries([...FACETS, "search", "other"].map((name) => [name, controls[name].value]));
    const { found, counts } = filter(items, { ...wanted, differ: controls.differ.checked });
    found.sort(SORTS[controls.sort.value]);
    for (const facet of FACETS) fill(controls[facet], options[facet], counts[facet]);
    form.querySelector("output").textContent = `${found.length.toLocaleString("en")} of ${items.length.toLocaleString("en")} judged pairs`;
    list.box.scrollTop = 0;
    list.show(found);
    choose(keep && found.includes(shown) ? shown : found[0], address);
  }

  function clear() {
    for (const name of [...FACETS, "search", "other"]) controls[name].value = "";
    controls.sort.selectedIndex = 0;
    controls.differ.checked = false;
  }

  // Show the judgment that the page's address names, whatever the filters are.
  function follow() {
    const wanted = items.find((item) => item.address === location.hash);
    if (!wanted) return false;
    if (!list.shown.includes(wanted)) {
      clear();
      shown = wanted;
      refresh();
    } else choose(wanted);
    document.getElementById("judgments").scrollIntoView();
    return true;
  }

  function step(places) {
    const place = list.shown.indexOf(shown);
    const next = Math.min(Math.max(place + places, 0), list.shown.length - 1);
    if (next >= 0 && next !== place) choose(list.shown[next]);
  }

  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const page = Math.max(1, Math.floor(list.box.clientHeight / ROW) - 1);
    const anywhere = { j: 1, k: -1 };
    const inside = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const steps = anywhere[event.key] ?? (list.box.contains(event.target) ? inside[event.key] : undefined);
    if (steps !== undefined) step(steps);
    else if (event.key === "/") controls.search.focus();
    else return;
    event.preventDefault();
  }

  form.addEventListener("change", (event) => {
    if (event.target !== controls.search) refresh(true, event.target !== controls.sort);
  });
  form.addEventListener("input", (event) => {
    if (event.target !== controls.search) return;
    clearTimeout(typing);
    typing = setTimeout(refresh, 150); // a search waits until typing ends
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    clear();
    refresh();
  });
  document.addEventListener("keydown", press);
  addEventListener("hashchange", follow);
  for (const id of ["filters", "browser", "keys"]) document.getElementById(id).hidden = false;
  document.getElementById("unopened").hidden = true;
  if (!follow()) refresh(false);
}

const packed = document.getElementById("judgments-data");
if (packed) {
  unpack(packed.textContent).then(browse);
  packed.remove();
}
