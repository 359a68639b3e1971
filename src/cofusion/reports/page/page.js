"use strict";

// Tables: a heading sorts its column. Cells without a number come last either way.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows];
    const numeric = rows.some((row) => row.cells[column].dataset.value !== undefined);
    const key = (row) => numeric ? Number(row.cells[column].dataset.value ?? NaN) : row.cells[column].textContent;
    rows.sort((a, b) => compare(key(a), key(b), up));
    table.tBodies[0].append(...rows);
  }));
}

function compare(a, b, up) {
  if (typeof a === "string") return up ? a.localeCompare(b) : b.localeCompare(a);
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
  return up ? a - b : b - a;
}

// Pictures and spectra.
const SVG = "http://www.w3.org/2000/svg";
const NO_VALUE = 65535;

class Viewer {
  constructor(scenes) {
    this.scenes = scenes;
    this.cubes = new Map(); // of a scene, once its samples were unpacked
    this.select = document.getElementById("scene");
    this.list = document.getElementById("methods");
    this.left = document.getElementById("left");
    this.right = document.getElementById("right");
    this.select.addEventListener("change", () => this.show(Number(this.select.value)));
    for (const stage of document.querySelectorAll(".stage")) {
      stage.addEventListener("click", (event) => this.click(event, stage));
      stage.addEventListener("keydown", (event) => this.key(event));
    }
    this.show(0);
  }

  show(index) {
    this.scene = this.scenes[index];
    const { scene } = this;
    this.shown = [...scene.inputs, ...scene.cubes];
    this.list.replaceChildren(this.list.firstElementChild, ...this.shown.map((cube, i) => this.choice(cube, i)));
    document.getElementById("viewer").classList.toggle("unmapped", !scene.reference);
    document.getElementById("plots").classList.toggle("single", !scene.reference);
    document.querySelector("#right .end").textContent = `≥ ${scene.top.toFixed(1)}°`;
    document.querySelector("#left .caption").textContent = `False colour: ${scene.colours}. One stretch for all.`;
    const [, rows, cols] = scene.grid;
    document.getElementById("grid").textContent =
      `Pictures are compressed. Spectra are kept of every ${scene.step === 1 ? "" : `${ordinal(scene.step)} `}row and column ` +
      `(${rows} x ${cols} of ${scene.size[0]} x ${scene.size[1]} pixels), to four decimals; a click takes the nearest.`;
    const own = this.shown.findIndex((cube) => cube.name.startsWith("CoFusion"));
    this.choose(own < 0 ? this.shown.length - 1 : own);
    const [row, col] = scene.pixels[0] ?? [scene.size[0] >> 1, scene.size[1] >> 1];
    this.pick(this.nearest(row, 1), this.nearest(col, 2));
  }

  choice(cube, index) {
    const label = element("label");
    const radio = element("input");
    Object.assign(radio, { type: "radio", name: "method", value: index });
    const score = cube.scores?.psnr;
    label.append(radio, ` ${cube.name} `, element("small", score === undefined ? "" : `${score.toFixed(2)} dB`));
    radio.addEventListener("change", () => this.choose(index));
    label.addEventListener("pointerenter", () => this.picture(index));
    label.addEventListener("pointerleave", () => this.picture(this.chosen));
    return label;
  }

  choose(index) {
    this.chosen = (index + this.shown.length) % this.shown.length;
    this.list.querySelectorAll("input")[this.chosen].checked = true;
    this.picture(this.chosen);
  }

  picture(index) {
    const cube = this.shown[index];
    this.list.querySelectorAll("label").forEach((label, i) => label.classList.toggle("shown", i === index));
    for (const path of document.querySelectorAll("#plots path")) {
      path.classList.toggle("shown", path.dataset.name === cube.name);
    }
    set(this.left, cube.name, cube.picture, `${this.scene.name} by ${cube.name} in false colour`);
    const sam = cube.scores?.sam;
    const text = !cube.map ? "no error map" : `SAM error${sam === undefined ? "" : `, mean ${sam.toFixed(2)}°`}`;
    set(this.right, text, cube.map ?? "", `Spectral angle of ${cube.name} to the reference`);
  }

  nearest(pixel, axis) {
    const { grid, step } = this.scene;
    return Math.min(Math.max(Math.round((pixel - (step >> 1)) / step), 0), grid[axis] - 1);
  }

  pixelOf(sample, axis) {
    const { size, step } = this.scene;
    return Math.min(step >> 1, size[axis] - 1) + sample * step;
  }

  click(event, stage) {
    const box = stage.getBoundingClientRect();
    const [rows, cols] = this.scene.size;
    const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
    const col = Math.floor(((event.clientX - box.left) / box.width) * cols);
    this.pick(this.nearest(row, 1), this.nearest(col, 2));
  }

  key(event) {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in moves) {
      const [down, right] = moves[event.key];
      const [, rows, cols] = this.scene.grid;
      this.pick(clamp(this.row + down, rows), clamp(this.col + right, cols));
    } else if (event.key === "n") this.choose(this.chosen + 1);
    else if (event.key === "p") this.choose(this.chosen - 1);
    else if (/^[1-9]$/.test(event.key) && Number(event.key) <= this.shown.length) this.choose(Number(event.key) - 1);
    else return;
    event.preventDefault();
  }

  async pick(row, col) {
    const { scene } = this;
    [this.row, this.col] = [row, col];
    const place = [this.pixelOf(row, 0), this.pixelOf(col, 1)];
    for (const mark of document.querySelectorAll(".mark")) {
      mark.style.top = `${((place[0] + 0.5) / scene.size[0]) * 100}%`;
      mark.style.left = `${((place[1] + 0.5) / scene.size[1]) * 100}%`;
    }
    if (!this.cubes.has(scene)) {
      this.cubes.set(scene, Promise.all(scene.cubes.map((cube) => unpack(cube.samples, scene.grid))));
    }
    let samples;
    try {
      samples = await this.cubes.get(scene);
    } catch (error) {
      document.getElementById("where").textContent =
        `The spectra cannot be unpacked (${error.message}); Chrome and Edge 80, Firefox 113 and Safari 16.4 can.`;
      return;
    }
    // Another scene or pixel may have been chosen while these were unpacked.
    if (scene !== this.scene || row !== this.row || col !== this.col) return;
    const [bands, rows, cols] = scene.grid;
    const lines = scene.cubes.map((cube, i) => ({
      cube,
      y: Array.from({ length: bands }, (_, band) => value(samples[i][(band * rows + row) * cols + col], scene)),
    }));
    document.getElementById("where").textContent = `Spectra at row ${place[0]}, column ${place[1]}`;
    this.draw(lines);
  }

  draw(lines) {
    const { scene } = this;
    plot(document.getElementById("spectra"), scene, lines, "scaled value");
    if (scene.reference) {
      const truth = lines[0].y;
      const off = lines.map(({ cube, y }) => ({ cube, y: y.map((v, i) => v === null || truth[i] === null ? null : v - truth[i]) }));
      plot(document.getElementById("differences"), scene, off, "difference to the reference");
    }
    legend(lines);
    numbers(scene, lines);
    this.picture(this.chosen);
  }
}

function plot(svg, scene, lines, title) {
  const [width, height, left, bottom] = [560, 300, 56, 40];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const all = lines.flatMap((line) => line.y).filter((y) => y !== null);
  const [x0, x1] = [Math.min(...scene.x), Math.max(...scene.x)];
  const ticks = all.length ? steps(Math.min(...all), Math.max(...all), 5) : [0, 1];
  const [y0, y1] = [ticks[0], ticks[ticks.length - 1]];
  const x = (v) => left + ((v - x0) / (x1 - x0 || 1)) * (width - left - 12);
  const y = (v) => height - bottom - ((v - y0) / (y1 - y0 || 1)) * (height - bottom - 24);
  const parts = [text(left, 14, title)];
  for (const tick of ticks) {
    parts.push(shape("line", { class: "rule", x1: left, x2: width - 12, y1: y(tick), y2: y(tick) }));
    parts.push(text(left - 6, y(tick) + 4, String(tick), "end"));
  }
  for (const tick of steps(x0, x1, 6).filter((v) => v >= x0 && v <= x1)) {
    parts.push(text(x(tick), height - bottom + 16, String(tick), "middle"));
  }
  parts.push(text((left + width) / 2, height - 6, scene.axis, "middle"));
  const wide = gap(scene.x);
  for (const { cube, y: values } of lines) {
    let d = "";
    let pen = false;
    values.forEach((v, i) => {
      if (i && Math.abs(scene.x[i] - scene.x[i - 1]) > wide) pen = false;
      if (v !== null) d += `${pen ? "L" : "M"}${x(scene.x[i]).toFixed(2)} ${y(v).toFixed(2)}`;
      pen = v !== null;
    });
    parts.push(stroke(cube, d));
  }
  svg.replaceChildren(...parts);
}

function stroke(cube, d) {
  const path = shape("path", { d });
  path.dataset.name = cube.name;
  if (cube.colour) path.setAttribute("stroke", cube.colour);
  else path.setAttribute("class", "reference");
  if (cube.dashes.length) path.setAttribute("stroke-dasharray", cube.dashes.map((v) => v * 1.6).join(" "));
  return path;
}

function legend(lines) {
  document.getElementById("legend").replaceChildren(...lines.map(({ cube }) => {
    const item = element("li");
    const sample = shape("svg", { viewBox: "0 0 40 12", "aria-hidden": "true" });
    sample.append(stroke(cube, "M0 6L40 6"));
    item.append(sample, cube.name);
    return item;
  }));
}

function numbers(scene, lines) {
  const table = element("table");
  const head = table.createTHead().insertRow();
  head.append(element("th", scene.axis), ...lines.map(({ cube }) => element("th", cube.name)));
  const body = table.createTBody();
  scene.x.forEach((v, i) => {
    const row = body.insertRow();
    const name = element("th", String(v));
    name.scope = "row";
    row.append(name, ...lines.map(({ y }) => element("td", y[i] === null ? "-" : y[i].toFixed(4))));
  });
  document.querySelector("#values div").replaceChildren(table);
}

// Undoes `pack` of scenes.py.
async function unpack(packed, [bands, rows, cols]) {
  const raw = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const [count, plane] = [bands * rows * cols, rows * cols];
  const values = new Uint16Array(count);
  for (let i = 0; i < count; i++) {
    values[i] = bytes[i] + 256 * bytes[count + i] + (i < plane ? 0 : values[i - plane]);
  }
  return values;
}

function value(sample, { steps: whole, zero }) {
  return sample === NO_VALUE ? null : (sample - zero) / whole;
}

// Round numbers that enclose a range.
function steps(low, high, wanted) {
  const raw = (high - low || 1e-3) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(10)));
}

// Bands farther apart than this have others left out between them.
function gap(x) {
  const widths = x.slice(1).map((v, i) => Math.abs(v - x[i])).sort((a, b) => a - b);
  return widths.length < 2 ? Infinity : 3 * widths[widths.length >> 1];
}

function set(figure, caption, source, alt) {
  figure.firstElementChild.textContent = caption;
  const image = figure.querySelector("img");
  image.hidden = !source;
  if (source) image.src = source;
  image.alt = source ? alt : "";
  figure.querySelector(".stage").setAttribute("aria-label", alt);
}

function ordinal(n) {
  const end = n % 100 > 10 && n % 100 < 14 ? "th" : { 1: "st", 2: "nd", 3: "rd" }[n % 10] ?? "th";
  return `${n}${end}`;
}

function clamp(v, count) {
  return Math.min(Math.max(v, 0), count - 1);
}

function element(name, content = "") {
  const node = document.createElement(name);
  node.textContent = content;
  return node;
}

function shape(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, v] of Object.entries(attributes)) node.setAttribute(key, v);
  return node;
}

function text(x, y, content, anchor = "start") {
  const node = shape("text", { x, y, "text-anchor": anchor });
  node.textContent = content;
  return node;
}

const data = document.getElementById("data");
if (data) new Viewer(JSON.parse(data.textContent));
