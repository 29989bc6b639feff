"use strict";

const find = (id) => document.getElementById(id);
const make = (kind, text, name) => {
  const element = document.createElement(kind);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
};
const AT_ONCE = 4;  // photos that are sent side by side
const SHOWN = 5;  // classes whose probabilities are always in sight
const TRIES = 8;
const INFERNO = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];
const waiting = [];
let sending = 0, done = 0, failed = 0;

// The server: each answer, or an Error that says in words why there is none.
const remembered = {
  get: (name) => { try { return sessionStorage.getItem(name) ?? ""; } catch { return ""; } },
  set: (name, value) => { try { sessionStorage.setItem(name, value); } catch { /* the browser keeps nothing */ } },
};
let token = remembered.get("token"), asked;
const pause = (seconds) => new Promise((resolve) => { setTimeout(resolve, 1000 * seconds); });

function askForToken() {
  asked ??= new Promise((resolve) => {
    const dialog = find("token");
    dialog.addEventListener("close", () => {
      token = find("token-value").value.trim();
      remembered.set("token", token);
      find("token-value").value = "";
      asked = undefined;
      resolve();
    }, { once: true });
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.showModal();
  });
  return asked;
}
async function call(path, options = {}) {
  for (let left = TRIES; ; left -= 1) {
    const used = token, headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${encodeToken(token)}` } : {}) };
    let answer;
    try {
      answer = await fetch(path, { ...options, headers });
    } catch {
      throw new Error("The server does not answer.");
    }
    if (answer.status === 401) {
      if (used === token) await askForToken();
      continue;
    }
    if (answer.status === 503 && left > 1) {
      await pause(Number(answer.headers.get("Retry-After")) || 1);
      continue;
    }
    const content = await answer.json().catch(() => ({}));
    if (!answer.ok) throw Object.assign(new Error(content.detail ?? `The server answered ${answer.status}.`), content);
    return content;
  }
}
// A header takes bytes, one a letter.
const encodeToken = (text) => String.fromCharCode(...new TextEncoder().encode(text));

// Photos wait in a queue, and go side by side.
function add(files) {
  for (const file of files) {
    const card = find("answer").content.firstElementChild.cloneNode(true), photo = card.querySelector(".photo");
    card.querySelector(".name").textContent = file.name;
    photo.alt = file.name;
    const address = URL.createObjectURL(file);
    photo.addEventListener("load", () => { photo.hidden = false; });
    for (const ended of ["load", "error"]) photo.addEventListener(ended, () => URL.revokeObjectURL(address), { once: true });
    photo.src = address;  // what the browser cannot show comes with the answer
    find("results").prepend(card);
    waiting.push({ file, card });
  }
  send();
}
function send() {
  while (sending < AT_ONCE && waiting.length) {
    sending += 1;
    classify(waiting.shift()).finally(() => { sending -= 1; send(); });
  }
  const left = sending + waiting.length, all = done + failed;
  if (left) say(`${left} under way…`);
  else if (all) say(`${done} classified${failed ? `, ${failed} could not be` : ""}. ${find("results").firstElementChild.dataset.said}`);
}
const say = (text) => { find("said").textContent = text; };

async function classify({ file, card }) {
  const state = card.querySelector(".state"), form = new FormData();
  state.className = "state quiet";
  state.textContent = "Sending…";
  form.append("images", file, file.name);
  try {
    const { images: [entry] } = await call("predict?explain=true", { method: "POST", body: form });
    show(entry, file, card, await model);
    state.remove();
    done += 1;
  } catch (error) {
    failed += 1;
    const [unreadable] = error.images ?? [];
    state.className = "state wrong";
    state.textContent = unreadable?.error ?? error.message;
    card.dataset.said = `${file.name}: ${state.textContent}`;
    if (unreadable) return;
    const again = make("button", "Try again");
    again.type = "button";
    again.addEventListener("click", () => { again.remove(); failed -= 1; waiting.push({ file, card }); send(); });
    state.append(" ", again);
  }
}

// What is answered of one photo.
function show(entry, file, card, { classes, corrections }) {
  const photo = card.querySelector(".photo"), part = (name) => card.querySelector(name);
  if (entry.preview) photo.src = entry.preview;
  part(".found").hidden = false;
  part(".verdict").textContent = `${entry.class}: ${entry.probability.toFixed(4)}`;
  card.dataset.said = `${file.name}: ${entry.class}, ${entry.probability.toFixed(2)}`;
  const doubts = [];
  if (entry.possible.length > 1) doubts.push(`Not sure: ${either(entry.possible)}`);
  if (entry.unlike) doubts.push("Unlike the training images: do not rely on this");
  if (entry.doubt) doubts.push(entry.doubt);
  part(".doubts").replaceChildren(...doubts.map((text) => make("li", text)));
  if (doubts.length) card.dataset.said += `. ${doubts.join(". ")}`;
  const rows = Object.entries(entry.probabilities).sort(([, one], [, other]) => other - one);
  part(".values tbody").append(...rows.slice(0, SHOWN).map(bar));
  if (rows.length > SHOWN) {
    part(".rest").hidden = false;
    part(".rest summary").textContent = `${rows.length - SHOWN} more`;
    part(".rest tbody").append(...rows.slice(SHOWN).map(bar));
  }
  if (entry.heat) drawHeat(part(".map"), entry.heat);
  if (entry.nearest?.length) {
    part(".near").hidden = false;
    part(".near .cards").append(...entry.nearest.map(near));
  }
  if (corrections) correct(entry, file, part(".wrong-it-is"), classes);
}
const either = (names) => (names.length > 6 ? `${names.slice(0, 5).join(", ")} or ${names.length - 5} others`
  : `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`);
function bar([name, value]) {
  const row = make("tr"), head = make("th", name), meter = make("meter"), cell = make("td");
  head.scope = "row";
  meter.value = value;
  meter.setAttribute("aria-label", name);
  cell.append(meter);
  row.append(head, make("td", value.toFixed(4)), cell);
  return row;
}
function near({ path, class: label, picture }) {
  const figure = make("figure"), caption = make("figcaption", label), image = make("img");
  image.alt = path;
  image.title = path;
  if (picture) image.src = picture;
  figure.append(image, caption);
  return figure;
}
function drawHeat(canvas, heat) {
  const [height, width] = [heat.length, heat[0].length], pixels = new ImageData(width, height);
  heat.flat().forEach((value, at) => {
    const place = Math.min(Math.max(value, 0), 1) * (INFERNO.length - 1), step = Math.min(Math.floor(place), INFERNO.length - 2);
    const colour = INFERNO[step].map((from, band) => from + (place - step) * (INFERNO[step + 1][band] - from));
    pixels.data.set([...colour, 190 * value], 4 * at);
  });
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Where it looks: the warmer, the more it speaks for the class");
  canvas.hidden = !find("heat").checked;
  canvas.dataset.drawn = "";
}
find("heat").addEventListener("change", () => {
  for (const canvas of document.querySelectorAll(".map[data-drawn]")) canvas.hidden = !find("heat").checked;
});

// A correction, with the photo.
function correct(entry, file, box, classes) {
  const form = box.querySelector("form"), saved = box.querySelector(".saved"), { label, by, why } = form.elements;
  box.hidden = false;
  label.append(new Option("…", ""), ...classes.filter((name) => name !== entry.class).map((name) => new Option(name, name)));
  by.value = remembered.get("by");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = new FormData();
    body.append("image", file, file.name);
    for (const field of [label, by, why]) body.append(field.name, field.value);
    remembered.set("by", by.value);
    saved.textContent = "Saving…";
    try {
      saved.textContent = (await call("corrections", { method: "POST", body })).said;
    } catch (error) {
      saved.textContent = `Not saved: ${error.message}`;
    }
  });
}

// Where photos come from.
for (const id of ["files", "shot"]) {
  find(id).addEventListener("change", () => { add(find(id).files); find(id).value = ""; });
}
find("shot-label").hidden = !matchMedia("(pointer: coarse)").matches;
addEventListener("paste", (event) => { if (event.clipboardData?.files.length) add(event.clipboardData.files); });
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("over"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("over"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  add(event.dataTransfer.files);
});

// The camera is there for pages of https, and of this machine.
const video = find("video");
function endCamera() {
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
}
find("camera").hidden = !navigator.mediaDevices?.getUserMedia || !find("shot-label").hidden;
find("camera").addEventListener("click", async () => {
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1920 } } });
    find("viewfinder").showModal();
  } catch (error) {
    say(`The camera cannot be used: ${error.message}`);
  }
});
find("take").addEventListener("click", () => {
  const canvas = make("canvas");
  Object.assign(canvas, { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((blob) => {
    find("viewfinder").close();
    if (blob) add([new File([blob], `camera ${new Date().toLocaleTimeString()}.jpg`, { type: "image/jpeg" })]);
  }, "image/jpeg", 0.95);
});
find("viewfinder-close").addEventListener("click", () => find("viewfinder").close());
find("viewfinder").addEventListener("close", endCamera);

// What the classifier is.
const model = call("model");
model.then(({ classes, metrics, name, resizing, sha256 }) => {
  document.body.dataset.resizing = resizing;  // which part of a photo a heat map is of
  document.title = `Classify photos: ${either(classes)}`;
  find("classes").textContent = classes.length > 6 ? `Which of ${classes.length} classes: ${either(classes)}?` : `${either(classes)}?`;
  find("about").textContent = [
    metrics ? `Test accuracy ${metrics.accuracy.toFixed(4)}.` : "",
    `${name}, ${sha256.slice(0, 12)}.`,
    "Photos are sent to this server, and kept only with a correction.",
  ].filter(Boolean).join(" ");
}).catch((error) => { find("classes").textContent = error.message; });
