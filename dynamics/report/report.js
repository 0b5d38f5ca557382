// Eigenvalues against time, for every run on the page: solid is measured, dashed a forecast.
"use strict";

// as wide as the page, so that text has its size on a narrow screen as well
const WIDTH = Math.min(900, Math.max(320, document.querySelector("main").clientWidth - 40));
const HEIGHT = 320, LEFT = 48, RIGHT = 12, TOP = 10, BOTTOM = 40;
const DASHES = ["7 4", "2 3", "10 3 2 3", "4 2", "12 4"];

function element(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// viridis, dark for the mode that is learned first
function color(j, count) {
  const stops = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [210, 226, 27]];
  const at = count > 1 ? (j / (count - 1)) * (stops.length - 1) : 0;
  const low = Math.min(Math.floor(at), stops.length - 2), part = at - low;
  return `rgb(${stops[low].map((value, i) => Math.round(value + part * (stops[low + 1][i] - value))).join(",")})`;
}

function niceStep(span) {
  const raw = span / (WIDTH < 500 ? 3 : 5), power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map(m => m * power).find(step => step >= raw);
}

function multiples(step, end) {
  return Array.from({ length: Math.floor(end / step * 1.0001) + 1 }, (_, i) => i * step);
}

// 1, 2, 5, 10, … or powers of ten alone where they are many
function decades(start, end) {
  const low = Math.floor(Math.log10(start)), high = Math.ceil(Math.log10(end));
  const each = high - low > (WIDTH < 500 ? 2 : 4) ? [1] : [1, 2, 5];
  const every = Math.ceil((high - low) / 8);
  const powers = Array.from({ length: high - low + 1 }, (_, i) => low + i).filter(power => power % every === 0);
  return powers.flatMap(power => each.map(m => m * 10 ** power)).filter(t => t >= start && t <= end);
}

// as short as a number is written: 0.02, 50000, 2e+6
function written(number) {
  const short = +number.toPrecision(6);
  return Math.abs(short) >= 1e5 ? short.toExponential() : short;
}

function chart(host, data) {
  const curves = data.curves, dims = Math.max(...curves.map(curve => curve.eigenvalues.length));
  const end = Math.max(...curves.map(curve => curve.times[curve.times.length - 1])) || 1;
  const top = 1.05 * Math.max(1e-9, ...curves.flatMap(curve => curve.eigenvalues.map(mode => Math.max(...mode))));
  // logarithmic where the steps lie orders of magnitude apart, as in the static figure
  const start = data.logFrom && data.logFrom < end ? data.logFrom : null, span = WIDTH - LEFT - RIGHT;
  const x = t => LEFT + span * (start ? Math.log(Math.max(t, start) / start) / Math.log(end / start) : t / end);
  const timeAt = place => start ? start * (end / start) ** place : place * end;
  const y = u => HEIGHT - BOTTOM - (Math.max(u, 0) / top) * (HEIGHT - TOP - BOTTOM);

  const legend = document.createElement("div");
  legend.className = "legend";
  const reading = document.createElement("div");
  reading.className = "reading";
  reading.setAttribute("aria-live", "off");
  const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
    "aria-label": `${data.quantity} against ${data.time}` });

  const unit = niceStep(top);
  for (const t of start ? decades(start, end) : multiples(niceStep(end), end)) {
    svg.append(element("line", { class: "grid", x1: x(t), x2: x(t), y1: TOP, y2: HEIGHT - BOTTOM }));
    svg.append(element("text", { x: x(t), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, written(t)));
  }
  for (let u = 0; u <= top; u += unit) {
    svg.append(element("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(u), y2: y(u) }));
    svg.append(element("text", { x: LEFT - 6, y: y(u) + 4, "text-anchor": "end" }, +u.toPrecision(6)));
  }
  svg.append(element("text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 6, "text-anchor": "middle" },
    data.time));
  svg.append(element("text", { x: 12, y: HEIGHT / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${HEIGHT / 2})` },
    data.quantity));

  let forecasts = 0;
  const shown = curves.map((curve, index) => {
    const group = element("g", { fill: "none", "stroke-width": curve.measured ? 2.4 : 1.4 });
    const dashes = curve.measured ? "none" : DASHES[forecasts++ % DASHES.length];
    curve.eigenvalues.forEach((mode, j) => {
      const path = mode.map((u, i) => `${i ? "L" : "M"}${x(curve.times[i]).toFixed(1)} ${y(u).toFixed(1)}`).join("");
      group.append(element("path", { d: path, stroke: color(j, dims), "stroke-dasharray": dashes }));
    });
    svg.append(group);
    const button = document.createElement("button");
    button.type = "button";
    const line = element("svg", { width: 30, height: 8 });
    line.append(element("line", { x1: 0, x2: 30, y1: 4, y2: 4, stroke: "#444", "stroke-dasharray": dashes,
      "stroke-width": curve.measured ? 2.4 : 1.4 }));
    button.append(line, curve.name);
    // at first what was measured, and the forecast that drops the most assumptions of those always there
    const state = { curve, visible: curve.shown };
    const draw = () => {
      group.setAttribute("visibility", state.visible ? "visible" : "hidden");
      button.setAttribute("aria-pressed", state.visible);
    };
    button.addEventListener("click", () => { state.visible = !state.visible; draw(); });
    legend.append(button);
    draw();
    return state;
  });

  // of the run itself where it says them, since its learning rate may have changed
  const stepped = curves.find(curve => curve.measured && curve.steps);
  const stepAt = t => {
    if (!stepped) return data.learningRate ? t / data.learningRate : null;
    const after = stepped.times.findIndex(time => time >= t);
    if (after < 0) return null;
    if (after === 0) return stepped.steps[0];
    const [t0, t1] = [stepped.times[after - 1], stepped.times[after]];
    const [k0, k1] = [stepped.steps[after - 1], stepped.steps[after]];
    return k0 + (k1 - k0) * (t - t0) / (t1 - t0);
  };

  const cursor = element("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
  svg.append(cursor);
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect();
    const place = (((event.clientX - box.left) / box.width) * WIDTH - LEFT) / span;
    if (place < 0 || place > 1) return;
    const t = timeAt(place);
    cursor.setAttribute("visibility", "visible");
    cursor.setAttribute("x1", x(t));
    cursor.setAttribute("x2", x(t));
    const made = stepAt(t);
    let at = made === null ? "" : `, training step ${Math.round(made).toLocaleString("en")}`;
    if (made !== null && data.epoch) at += `, epoch ${(made / data.epoch).toFixed(1)}`;
    const learned = shown.filter(state => state.visible).map(({ curve }) =>
      `${curve.name}: ${curve.learned.filter(time => time <= t).length} learned`);
    reading.textContent = `t = ${t.toPrecision(4)}${at}: ${learned.join(", ")}`;
  });
  svg.addEventListener("pointerleave", () => {
    cursor.setAttribute("visibility", "hidden");
    reading.textContent = "";
  });
  host.append(legend, svg, reading);
}

document.querySelectorAll("section").forEach(section =>
  chart(section.querySelector(".chart"), JSON.parse(section.querySelector(".data").textContent)));
