// Lines, bars and stacked bars.

const PANEL = 170; // pixels of a panel, where each measure of a line chart has its own
const BAR = 26;
const UPRIGHT_LABELS = 12; // bars that stand have room for so many numbers

/** Milliseconds of each name, where all of them are times. */
function times(names) {
  const parsed = names.map((name) => (/^\d{4}-\d{2}-\d{2}/.test(name) ? Date.parse(name) : NaN));
  return parsed.some(Number.isNaN) ? null : parsed;
}

/** Tell whether times follow each other evenly, as days, weeks and months do; a gap of one would show on a time axis only. */
function areEven(at) {
  const steps = at.slice(1).map((time, index) => time - at[index]);
  return Math.max(...steps) < 1.25 * Math.min(...steps);
}

/** What an axis says at a time or name: day and month, over years month and year. */
function dayLabel(axis) {
  const at = axis.kind === "time" ? times(axis.names) : null;
  if (at === null) return (value) => String(value);
  const isLong = at.length > 1 && at[at.length - 1] - at[0] > 400 * 24 * 3600 * 1000;
  const parts = isLong || axis.unit === "month" ? { month: "short", year: "numeric" } : { day: "numeric", month: "short" };
  const format = new Intl.DateTimeFormat("en-GB", { ...parts, timeZone: "UTC" });
  return (value) => format.format(typeof value === "number" ? value : Date.parse(value));
}

/** The panels of a drawing: the measure that is chosen, or all of them below each other. */
function panels(drawn, chosen) {
  return drawn.panels ? drawn.measures : [drawn.measures[chosen]];
}

/** How a measure is drawn. What must not be added up is not stacked. */
function shapeOf(drawn, measure) {
  if (drawn.chart !== "stacked" || measure.stacks) return drawn.chart;
  return drawn.x.kind === "time" && drawn.x.names.length > 2 ? "line" : "bar";
}

function isUpright(drawn) {
  return drawn.chart === "line" || drawn.x.kind === "time";
}

function cartesianHeight(drawn, chosen) {
  const shown = panels(drawn, chosen);
  if (shown.length > 1) return shown.length * PANEL + 10;
  if (isUpright(drawn)) return 300;
  const bars = shapeOf(drawn, shown[0]) === "stacked" ? 1 : shown[0].series.length;
  return drawn.x.names.length * Math.max(BAR, 14 * bars + 10) + 40;
}

function cartesianTip(drawn, shown, index) {
  const lines = shown.flatMap((measure) =>
    measure.series.map((one) => [one.name, told(one.values[index], measure.kind)]),
  );
  return tip(drawn.x.names[index], lines);
}

function cartesianOption(drawn, chosen, width) {
  const shown = panels(drawn, chosen);
  const show = tooltip({
    trigger: "axis",
    axisPointer: { type: shapeOf(drawn, shown[0]) === "line" ? "line" : "shadow" },
    formatter: (hovered) => cartesianTip(drawn, shown, hovered[0].dataIndex),
  });
  const option = isUpright(drawn) ? upright(drawn, shown) : lying(drawn, shown[0], width);
  return frame({ tooltip: show, legend: { show: false }, ...option });
}

function upright(drawn, shown) {
  const shape = shapeOf(drawn, shown[0]);
  const moments = shape === "line" && drawn.x.kind === "time" ? times(drawn.x.names) : null;
  const at = moments && !areEven(moments) ? moments : null;
  const place = (value, index) => (at ? [at[index], drawable(value)] : drawable(value));
  const last = shown.length - 1;
  const split = shown.length > 1;
  const day = dayLabel(drawn.x);
  return {
    axisPointer: { link: [{ xAxisIndex: "all" }] },
    title: split
      ? shown.map((one, index) => ({
          text: one.label,
          left: 0,
          top: index * PANEL + 6,
          padding: 0,
          textStyle: { fontSize: 13, fontWeight: 600, color: colour("text") },
        }))
      : [],
    grid: shown.map((_, index) => ({
      left: 52,
      right: 14,
      ...(split ? { top: index * PANEL + 32, height: PANEL - 52 } : { top: 20, bottom: 28 }),
    })),
    xAxis: shown.map((_, index) =>
      nameAxis({
        type: at ? "time" : "category",
        data: at ? undefined : drawn.x.names,
        boundaryGap: shape !== "line" || drawn.x.names.length === 1,
        gridIndex: index,
        axisLabel: {
          show: index === last,
          color: colour("quiet"),
          hideOverlap: true,
          formatter: day,
          ...(shape === "line" ? { alignMinLabel: "left", alignMaxLabel: "right" } : {}),
        },
        splitLine: { show: false },
      }),
    ),
    yAxis: shown.map((one, index) => valueAxis(one.kind, { gridIndex: index, ...ofWhole(drawn, one) })),
    series: shown.flatMap((one, panel) =>
      one.series.map((series, index) => ({
        name: series.name,
        type: shape === "line" ? "line" : "bar",
        stack: shape === "stacked" ? "all" : undefined,
        xAxisIndex: panel,
        yAxisIndex: panel,
        color: seriesColour(panel + index),
        lineStyle: { width: 2 },
        barMaxWidth: 72,
        label: {
          show: shape === "bar" && drawn.x.names.length * one.series.length <= UPRIGHT_LABELS,
          position: "top",
          color: colour("text"),
          formatter: ({ dataIndex }) => told(series.values[dataIndex], one.kind),
        },
        symbol: ["circle", "rect", "triangle", "diamond"][index % 4],
        symbolSize: 5,
        showSymbol: drawn.x.names.length <= 62,
        itemStyle: shape === "stacked" ? { borderColor: colour("card"), borderWidth: 0.5 } : {},
        // A withheld bar has no height, and a label that says so.
        data: series.values.map((value, n) => (shape === "bar" && value === WITHHELD ? 0 : place(value, n))),
      })),
    ),
  };
}

/** Bars that lie, so that their names can be read. */
function lying(drawn, measure, width) {
  const isStacked = shapeOf(drawn, measure) === "stacked";
  const room = Math.min(widest(drawn.x.names), 230, Math.round(width * 0.38));
  return {
    grid: { left: room + 12, right: isStacked ? 16 : 64, top: 4, bottom: 28 },
    xAxis: valueAxis(measure.kind, ofWhole(drawn, measure)),
    yAxis: nameAxis({
      type: "category",
      inverse: true,
      data: drawn.x.names,
      axisLabel: { color: colour("text"), width: room, overflow: "truncate", interval: 0 },
    }),
    series: measure.series.map((series, index) => ({
      name: series.name,
      type: "bar",
      stack: isStacked ? "all" : undefined,
      color: seriesColour(index),
      barMaxWidth: 18,
      itemStyle: isStacked ? { borderColor: colour("card"), borderWidth: 0.5 } : { borderRadius: [0, 3, 3, 0] },
      label: {
        show: !isStacked,
        position: "right",
        color: colour("text"),
        formatter: ({ dataIndex }) => told(series.values[dataIndex], measure.kind),
      },
      // A withheld bar has no length, and a label that says so.
      data: series.values.map((value) => (value === WITHHELD && !isStacked ? 0 : drawable(value))),
    })),
  };
}

function ofWhole(drawn, measure) {
  return drawn.chart === "stacked" && measure.kind === "share" ? { max: 1, interval: 0.25 } : {};
}

/** Names of the series with their colours; a press takes one away and brings it back. */
function cartesianLegend(drawn, chosen, chart) {
  const series = panels(drawn, chosen).length > 1 ? [] : drawn.measures[chosen].series;
  if (series.length < 2) return [];
  return series.map((one, index) => {
    const swatch = element("i", "");
    swatch.style.background = seriesColour(index);
    const button = element("button", "", swatch, one.name);
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      chart.dispatchAction({ type: on ? "legendSelect" : "legendUnSelect", name: one.name });
    });
    return button;
  });
}
