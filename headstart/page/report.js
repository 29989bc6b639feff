const kept = {};
const chosen = new Map();  // of each image that was looked at, what is to be done
const changed = new Set();  // the images of which that was decided here
document.body.dataset.resizing = data.resizing;  // which part of an image a heat map is of
const served = location.protocol.startsWith("http");  // by `make review`

// A cell of the confusion matrix opens its images.
document.querySelector("[data-chart=confusion]").on("plotly_click", (event) => {
  find("cell").value = event.points[0].customdata.join(",");
  fill();  // also where no image is in the cell, and nothing is chosen any more
  if (!find("cell").value) return;
  const [own, called] = find("cell").value.split(",");
  (find(own === called ? "g-right" : "g-wrong") ?? find("images")).scrollIntoView();
});
for (const [pair, words] of data.cells) find("cell").append(new Option(words, pair));

// The threshold: the classifier's own, which the steps of the slider may not meet, until that is moved.
function decide(moved) {
  const from = Number(find("threshold").value), count = { tp: 0, fn: 0, fp: 0, tn: 0 };  // each value is of `counts`
  data.two.values.forEach((value, at) => {
    const called = moved ? value >= from : data.two.called[at];
    count[called ? (data.two.truth[at] ? "tp" : "fp") : (data.two.truth[at] ? "fn" : "tn")] += data.two.counts[at];
  });
  const share = (part, whole) => (whole ? (part / whole).toFixed(4) : "–");
  const shown = { ...count, recall: share(count.tp, count.tp + count.fn), precision: share(count.tp, count.tp + count.fp),
    "recall-other": share(count.tn, count.tn + count.fp), "precision-other": share(count.tn, count.tn + count.fn),
    accuracy: share(count.tp + count.tn, count.tp + count.fn + count.fp + count.tn) };
  for (const [name, value] of Object.entries(shown)) document.querySelector(`[data-cell="${name}"]`).textContent = value;
  const said = moved ? from.toFixed(3) : data.two.shown;
  find("threshold-value").textContent = said;
  find("threshold").setAttribute("aria-valuetext", said);
}
if (data.two) { find("threshold").addEventListener("input", () => decide(true)); decide(false); }

// Galleries: each is filled when it comes into sight.
const words = (image) => {
  const line = make("span", undefined, "words");
  line.append(make("span", data.classes[image.label]));
  if (image.guess !== undefined) {
    line.append(" → ", make("span", `${data.classes[image.guess]} ${image.p.find(([label]) => label === image.guess)[1].toFixed(2)}`,
      image.guess === image.label ? "correct" : "wrong"));
  }
  return line;
};
function visible(row) {
  const image = data.images[row], name = find("class-filter").value, cell = find("cell").value;
  if (name !== "" && image.label !== Number(name) && image.guess !== Number(name)) return false;
  if (cell && `${image.label},${image.guess}` !== cell) return false;
  return image.p === undefined || image.p[0][1] >= Number(find("surety").value);
}
function card(row, rows) {
  const image = data.images[row], box = make("div", undefined, "card"), button = make("button");
  const stack = make("span", undefined, "stack"), fit = make("span", undefined, "fit"), picture = make("img");
  button.type = "button";
  picture.addEventListener("load", () => {
    fit.style.aspectRatio = `${picture.naturalWidth} / ${picture.naturalHeight}`;
    fit.classList.add(picture.naturalWidth >= picture.naturalHeight ? "broad" : "high");
  });
  picture.src = image.src;
  picture.alt = image.path;
  fit.append(picture);
  stack.append(fit);
  if (image.heat && find("heat").checked) {
    const heat = make("img", undefined, "map");
    heat.src = image.heat;
    heat.alt = "";
    fit.append(heat);
  }
  button.append(stack, words(image));
  button.addEventListener("click", () => open(row, rows));
  box.append(button);
  return box;
}
function decision(row) {
  const image = data.images[row], select = make("select"), looks = data.suspects[row];
  select.setAttribute("aria-label", `What is to be done with ${image.path}`);
  select.append(new Option("undecided", ""));
  select.append(new Option(`keep: it is ${data.classes[image.label]}`, "keep"));
  const order = [looks, ...data.classes.keys()].filter((value, at, all) => all.indexOf(value) === at && value !== image.label);
  for (const label of order) select.append(new Option(`it is ${data.classes[label]}`, `label:${label}`));
  select.append(new Option("leave it out", "leave out"));
  select.value = chosen.get(row) ?? "";
  select.addEventListener("change", () => {
    changed.add(row);
    if (select.value) chosen.set(row, select.value); else chosen.delete(row);
  });
  return select;
}
function fill() {
  for (const gallery of document.querySelectorAll(".gallery")) {
    const all = data.galleries[gallery.dataset.gallery], rows = all.filter(visible);
    const total = data.totals[gallery.dataset.gallery] ?? all.length;
    const here = total > all.length ? `the first ${all.length} of ${total}` : `${all.length}`;
    gallery.querySelector(".count").textContent = rows.length === all.length ? `(${here})` : `(${rows.length} of ${here})`;
    gallery.querySelector(".cards").replaceChildren();
    gallery.rows = rows;
    seen.unobserve(gallery);
    seen.observe(gallery);
  }
}
function show(gallery) {
  const cards = gallery.querySelector(".cards");
  if (cards.children.length) return;
  for (const row of gallery.rows) {
    const box = card(row, gallery.rows);
    if (gallery.dataset.gallery === "suspects") {
      box.append(make("span", `${data.classes[data.images[row].label]}, or ${data.classes[data.suspects[row]]}?`, "words"), decision(row));
    }
    cards.append(box);
  }
  if (!gallery.rows.length) cards.append(make("p", "none", "quiet"));
}
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) show(entry.target);
}, { rootMargin: "400px" });
fill();
addEventListener("beforeprint", () => document.querySelectorAll(".gallery").forEach(show));
for (const id of ["class-filter", "cell", "heat"]) find(id).addEventListener("change", fill);
find("surety").addEventListener("input", () => {
  find("surety-value").textContent = Number(find("surety").value).toFixed(2);
  fill();
});
find("clear").addEventListener("click", () => {
  find("class-filter").value = find("cell").value = "";
  find("surety").value = 0;
  find("surety-value").textContent = "0.00";
  fill();
});

// One image, large.
function open(row, rows) {
  const image = data.images[row];
  Object.assign(kept, { row, rows });
  find("large-title").textContent = image.path;
  find("large-image").src = image.src;
  find("large-image").alt = image.path;
  find("large-heat").hidden = !image.heat;
  if (image.heat) find("large-heat").src = image.heat;
  const facts = [["label", data.classes[image.label]], ["split", image.split]];
  for (const [label, value] of image.p ?? []) facts.push([data.classes[label], value.toFixed(4)]);
  find("large-facts").replaceChildren(...facts.flatMap(([name, value]) => [make("dt", name), make("dd", value)]));
  find("large-near").replaceChildren(...(image.near ?? []).filter((other) => data.images[other]).map((other) => card(other, [other])));
  if (!find("large").open) find("large").showModal();
}
function step(by) {
  const at = kept.rows.indexOf(kept.row) + by;
  if (at >= 0 && at < kept.rows.length) open(kept.rows[at], kept.rows);
}
find("previous").addEventListener("click", () => step(-1));
find("following").addEventListener("click", () => step(1));
find("close").addEventListener("click", () => find("large").close());
find("large").addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});

// Corrections: sent to `make review` where that serves the page, else a file to put into data/.
async function remember() {
  if (served) data.corrections = await (await fetch("corrections")).json();
  const rows = new Map(Object.keys(data.suspects).map((row) => [data.images[row].path, Number(row)]));
  for (const entry of data.corrections) {
    const row = rows.get(entry.path);
    if (row === undefined || entry.sha256 !== data.images[row].sha256 || changed.has(row)) continue;
    chosen.set(row, entry.action === "label" ? `label:${data.classes.indexOf(entry.label)}` : entry.action);
  }
  if (chosen.size) fill();  // what is shown was filled before this was known
}
function correction(row) {
  const image = data.images[row], [action, label] = chosen.get(row).split(":");
  const before = data.corrections.find((entry) => entry.path === image.path && entry.action === "label");
  // What was put right already, and is right as it is, stays put right.
  if (action === "keep" && before?.label === data.classes[image.label]) return { ...before, by: find("by").value };
  return { path: image.path, sha256: image.sha256, action,
    label: label === undefined ? "" : data.classes[Number(label)], by: find("by").value, why: "" };
}
remember().catch(() => {});
find("save")?.addEventListener("click", async () => {
  const decided = [...changed].filter((row) => chosen.has(row)).map(correction);
  const undone = [...changed].filter((row) => !chosen.has(row)).map((row) => data.images[row].path);
  const say = (text) => { find("saved").textContent = text; };
  if (!changed.size) { say("Nothing is decided yet."); return; }
  if (served) {
    say("Saving…");
    try {
      const answer = await fetch("corrections", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ decided, undone }) });
      say(answer.ok ? await answer.text() : `Not saved: ${await answer.text()}`);
      if (answer.ok) { changed.clear(); await remember(); }
    } catch { say("Not saved: make review does not answer. Start it again, and decide in the page that it opens."); }
    return;
  }
  const cell = (text) => {
    const formula = /^'*[ ]*[=+\-@\t\r\n＝＋－＠]/.test(text) && !/^'*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$/.test(text);
    const guarded = formula ? `'${text}` : text;
    return /[",;\t\r\n]/.test(guarded) ? `"${guarded.replaceAll('"', '""')}"` : guarded;
  };
  const columns = ["path", "sha256", "action", "label", "by", "why"];
  const same = new Set([...decided.map((entry) => entry.path), ...undone]);
  const pictures = new Set(decided.map((entry) => entry.sha256));  // of one that was renamed, the last decision is kept
  const rows = [...data.corrections.filter((entry) => !same.has(entry.path) && !pictures.has(entry.sha256)), ...decided];
  const text = [columns, ...rows.map((entry) => columns.map((name) => entry[name]))].map((row) => row.map(cell).join(",") + "\n").join("");
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = "corrections.csv";
  link.click();
  say(`${rows.length} correction${rows.length === 1 ? "" : "s"}: put the file into data/ in place of the one there, then run dvc repro. `
    + "What was saved since this page was made is not in it; make review adds to what is there.");
});
