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
    xAxis: nameAxis({ type: "category", position: "top", data: drawn.x.names }),
    yAxis: nameAxis({
      type: "category",
      inverse: true,
      data: drawn.y.names,
      axisLabel: { color: colour("text"), width: room, overflow: "truncate" },
    }),
    series: [
      {
        type: "heatmap",
        label: {
          show: isWide,
          fontSize: 11,
          formatter: ({ dataIndex }) => {
            const value = measure.cells[dataIndex][2];
            return value === WITHHELD ? told(value) : toldBriefly(value, measure.kind);
          },
        },
        data: measure.cells.map(([x, y, value]) => heatmapCell(x, y, value, most)),
      },
    ],
  });
}

function heatmapCell(x, y, value, most) {
  if (value === WITHHELD) {
    const itemStyle = { color: colour("sunk"), borderColor: colour("control"), borderType: "dashed", borderWidth: 1 };
    return { value: [x, y, 0], itemStyle, label: { color: colour("quiet") } };
  }
  const color = mixed(colour("low"), colour("high"), value / most);
  return { value: [x, y, value], itemStyle: { color, borderColor: colour("card"), borderWidth: 1 }, label: { color: inkOn(color) } };
}
