// A field of cells, each with its number where there is room.

function heatmapHeight(drawn) {
  return drawn.y.names.length * 30 + 44;
}

function heatmapOption(drawn, chosen, width) {
  const measure = drawn.measures[chosen];
  const numbers = measure.cells.map((cell) => cell[2]).filter((value) => typeof value === "number");
  const most = measure.kind === "share" ? 1 : Math.max(...numbers, 1);
  const room = Math.min(widest(drawn.y.names), 160, Math.round(width * 0.28));
  const isWide = (width - room) / drawn.x.names.length > 46;
  return frame({
    tooltip: tooltip({
      formatter: ({ dataIndex }) => {
        const [x, y, value] = measure.cells[dataIndex];
        return tip(`${drawn.y.names[y]} · ${drawn.x.names[x]}`, [[measure.label, told(value, measure.kind)]]);
      },
    }),
    grid: { left: room + 12, right: 4, top: 28, bottom: 8 },
    xAxis: nameAxis({
      type: "category",
      position: "top",
      data: drawn.x.names,
      axisLabel: { color: colour("quiet"), hideOverlap: true, formatter: dayLabel(drawn.x) },
    }),
    yAxis: nameAxis({
      type: "category",
      inverse: true,
      data: drawn.y.names,
      axisLabel: { color: colour("text"), width: room, overflow: "truncate", formatter: dayLabel(drawn.y) },
    }),
    // Not the series "heatmap": it draws on several canvases, of which a printer shows the last.
    series: [{ type: "custom", data: measure.cells, renderItem: (params, api) => heatmapCell(params, api, measure, most, isWide) }],
  });
}

function heatmapCell({ dataIndex }, api, measure, most, isWide) {
  const [x, y, value] = measure.cells[dataIndex];
  const [middle, centre] = api.coord([x, y]);
  const [width, height] = api.size([1, 1]);
  const isWithheld = value === WITHHELD;
  const fill = isWithheld ? colour("sunk") : mixed(colour("low"), colour("high"), (drawable(value) ?? 0) / most);
  const text = isWithheld ? told(value) : toldBriefly(value, measure.kind);
  const border = isWithheld ? { stroke: colour("control"), lineDash: [4, 3] } : { stroke: colour("card") };
  return {
    type: "rect",
    shape: { x: middle - width / 2, y: centre - height / 2, width, height },
    style: { fill, lineWidth: 1, ...border },
    textConfig: { position: "inside" },
    textContent: { style: { text: isWide ? text : "", fontSize: 11, fill: isWithheld ? colour("quiet") : inkOn(fill) } },
  };
}
