// Numbers, colours and small pieces of the document, for all charts. Texts of the report only ever become text nodes.

const root = document.documentElement;
const data = JSON.parse(document.getElementById("page-data").textContent);

const exactly = new Intl.NumberFormat("en", { maximumFractionDigits: 6 });
const briefly = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const asPartBriefly = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });
const asPart = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 2 });

const WITHHELD = "withheld";

/** A value as a tooltip or label shows it. */
function told(value, kind) {
  if (value === null || value === undefined) return "—";
  if (value === WITHHELD) return data.k === null ? "no value" : `< ${exactly.format(data.k)}`;
  return kind === "share" ? asPart.format(value) : exactly.format(value);
}

/** A value on an axis, where there is little room. */
function toldBriefly(value, kind) {
  return kind === "share" ? asPartBriefly.format(value) : briefly.format(value);
}

/** The number to draw, or null. */
function drawable(value) {
  return typeof value === "number" ? value : null;
}

function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

const probe = element("span", "unseen");
probe.hidden = true;
document.body.append(probe);

/** The colour that a custom property of the style has in the theme of the moment. */
function colour(name) {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

function seriesColour(index) {
  return colour(`c${(index % 8) + 1}`);
}

function channels(text) {
  return text.match(/[\d.]+/g).slice(0, 3).map(Number);
}

/** A colour between two others. */
function mixed(from, to, part) {
  const [a, b] = [channels(from), channels(to)];
  return `rgb(${a.map((value, index) => Math.round(value + (b[index] - value) * part)).join(", ")})`;
}

const pen = document.createElement("canvas").getContext("2d");

/** Pixels that the longest of some labels takes. */
function widest(names) {
  pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  return Math.ceil(Math.max(...names.map((name) => pen.measureText(name).width))) + 2;
}

/** Relative luminance (WCAG 2.2). */
function luminance(text) {
  const [r, g, b] = channels(text).map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Black or white, whichever is read more easily on a colour. */
function inkOn(background) {
  return luminance(background) > 0.179 ? "#000000" : "#ffffff";
}

/** What a tooltip holds: a title and lines of a label and a value. */
function tip(title, lines) {
  const rows = lines.map(([label, value]) => element("div", "row", element("span", "", label), element("b", "", value)));
  return element("div", "tip", element("strong", "", title), ...rows);
}

function tooltip(more) {
  return {
    confine: true,
    backgroundColor: colour("card"),
    borderColor: colour("control"),
    textStyle: { color: colour("text") },
    ...more,
  };
}

/** What every chart has: no movement, and the page's own font. */
function frame(more) {
  const fontFamily = getComputedStyle(document.body).fontFamily;
  return { animation: false, useUTC: true, textStyle: { fontFamily, color: colour("text") }, ...more };
}

function nameAxis(more) {
  return {
    axisLabel: { color: colour("quiet"), hideOverlap: true },
    axisLine: { lineStyle: { color: colour("control") } },
    axisTick: { show: false },
    ...more,
  };
}

function valueAxis(kind, more) {
  return {
    type: "value",
    axisLabel: { color: colour("quiet"), hideOverlap: true, formatter: (value) => toldBriefly(value, kind) },
    splitLine: { lineStyle: { color: colour("line") } },
    minInterval: kind === "count" ? 1 : 0,
    splitNumber: 4,
    ...more,
  };
}
