// Each figure's chart: drawn when the page opens, and again for another width, theme or measure.

const charts = [];

function openFigure(box) {
  const drawn = data.drawings[box.dataset.figure];
  const place = box.querySelector(".chart");
  box.hidden = false;
  let chosen = 0;
  let graph = null;
  let width = 0;
  place.style.height = "300px";
  const chart = echarts.init(place, null, { renderer: "canvas" });
  const legend = element("div", "legend");
  legend.setAttribute("role", "group");
  legend.setAttribute("aria-label", "Series");
  place.before(legend);

  function draw() {
    if (drawn.chart === "graph" && graph === null) return; // its state is being made
    width = place.clientWidth;
    const height = { heatmap: () => heatmapHeight(drawn), graph: () => graphHeight(width) }[drawn.chart]?.() ?? cartesianHeight(drawn, chosen);
    place.style.height = `${height}px`;
    chart.resize();
    chart.setOption(option(width, height), { notMerge: true });
    const buttons = drawn.chart in { heatmap: 0, graph: 0 } ? [] : cartesianLegend(drawn, chosen, chart);
    legend.hidden = buttons.length === 0;
    legend.replaceChildren(...buttons);
  }

  function option(width, height) {
    if (drawn.chart === "graph") return graphOption(graph, width, height);
    if (drawn.chart === "heatmap") return heatmapOption(drawn, chosen, width);
    return cartesianOption(drawn, chosen, width);
  }

  if (drawn.chart === "graph") {
    graph = graphState(drawn, box, draw);
    chart.getZr().on("click", ({ target }) => {
      if (!target) graph.choose(null, false);
    });
    chart.on("click", { dataType: "node" }, ({ name }) => graph.choose(name, false));
  }
  for (const radio of box.querySelectorAll('input[type="radio"]')) {
    radio.addEventListener("change", () => {
      chosen = Number(radio.value);
      draw();
    });
  }
  draw();
  new ResizeObserver(() => {
    if (place.clientWidth !== width) draw();
  }).observe(place);
  charts.push(draw);
}

function redrawAll() {
  for (const draw of charts) draw();
}
