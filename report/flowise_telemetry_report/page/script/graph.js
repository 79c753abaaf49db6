// Nodes and their connections: filter by weight, choose a node by click, list or its neighbours.

const EDGES_AT_FIRST = 120; // a picture of more is a knot; the reader may ask for them
const LABELS = 14;

/** State and parts of a graph; `redraw` is called when what it shows changes. */
function graphState(drawn, box, redraw) {
  const part = (name) => box.querySelector(`[data-part="${name}"]`);
  const kind = drawn.measures[0].kind;
  const weightOf = (edge) => drawable(edge[2]) ?? 0;
  const edges = [...drawn.edges].sort((a, b) => weightOf(b) - weightOf(a));
  const totals = new Map();
  for (const [source, target, weight] of edges) {
    for (const name of new Set([source, target])) totals.set(name, (totals.get(name) ?? 0) + (drawable(weight) ?? 0));
  }
  const names = [...totals.keys()].sort((a, b) => totals.get(b) - totals.get(a) || (a < b ? -1 : 1));
  const steps = [...new Set(edges.map(weightOf))].sort((a, b) => a - b);
  const state = { drawn, kind, edges, totals, names, weightOf, places: placed(names, edges), least: 0, chosen: null };

  const slider = part("weight");
  slider.max = String(steps.length - 1);
  const start = weightOf(edges[Math.min(EDGES_AT_FIRST, edges.length) - 1]);
  slider.value = String(steps.indexOf(start));

  function filter() {
    state.least = steps[Number(slider.value)];
    const shown = edges.filter((edge) => weightOf(edge) >= state.least).length;
    const least = state.least === 0 ? "all" : told(state.least, kind);
    const text = `${drawn.measures[0].label}: ${least}${state.least === 0 ? "" : " or more"}, ${exactly.format(shown)} of ${exactly.format(edges.length)} connections`;
    part("shown").value = text;
    slider.setAttribute("aria-valuetext", text);
    redraw();
  }

  state.choose = (name, moveFocus) => {
    state.chosen = name;
    part("node").value = name ?? "";
    const heading = listNeighbours(state, part("neighbours"));
    if (moveFocus) heading.focus();
    redraw();
  };

  part("node").append(new Option("None", ""), ...[...names].sort().map((name) => new Option(name, name)));
  part("node").addEventListener("change", (event) => state.choose(event.target.value || null, false));
  slider.addEventListener("input", filter);
  listNeighbours(state, part("neighbours"));
  filter();
  return state;
}

/** Lists with what the chosen node is connected, whatever the filter. Returns the heading. */
function listNeighbours(state, place) {
  const name = state.chosen;
  if (name === null) {
    place.replaceChildren(element("p", "", "Choose a node, here or in the picture, to see what it is connected with."));
    return place;
  }
  const heading = element("h4", "", name);
  heading.tabIndex = -1;
  const into = state.edges.filter((edge) => edge[1] === name);
  const out = state.edges.filter((edge) => edge[0] === name);
  const lists = element("div", "lists", neighbours(state, "To", out, 1), neighbours(state, "From", into, 0));
  place.replaceChildren(heading, lists);
  announce(`${name}: ${out.length} connections to others, ${into.length} from others`);
  return heading;
}

function neighbours(state, direction, edges, end) {
  const items = edges.map((edge) => {
    const button = element("button", "", edge[end]);
    button.type = "button";
    button.addEventListener("click", () => state.choose(edge[end], true));
    return element("li", "", button, element("span", "number", told(edge[2], state.kind)));
  });
  const title = element("p", "", `${direction}: ${exactly.format(edges.length)}`);
  if (items.length === 0) return element("div", "", title);
  return element("div", "", title, element("ul", "", ...items));
}

function graphHeight(width) {
  return Math.round(Math.min(560, Math.max(360, width * 0.7)));
}

function graphOption(state, width, height) {
  const isChosen = (edge) => edge[0] === state.chosen || edge[1] === state.chosen;
  const edges = state.edges.filter((edge) => state.weightOf(edge) >= state.least || isChosen(edge));
  const near = new Set(edges.filter(isChosen).flatMap((edge) => edge.slice(0, 2)));
  near.add(state.chosen);
  const visible = new Set(edges.flatMap((edge) => edge.slice(0, 2)));
  if (state.chosen !== null) visible.add(state.chosen);
  const most = Math.max(...state.totals.values(), 1e-9);
  const heaviest = Math.max(...state.edges.map(state.weightOf));
  const range = heaviest - Math.min(...state.edges.map(state.weightOf)) || 1;
  const dim = (name) => state.chosen !== null && !near.has(name);
  const isSmall = width < 480;
  const margin = isSmall ? 46 : 70;
  return frame({
    tooltip: tooltip({ formatter: ({ dataType, data: item }) => graphTip(state, dataType, item) }),
    series: [
      {
        type: "graph",
        layout: "none",
        left: margin,
        right: margin,
        top: 30,
        bottom: 36,
        edgeSymbol: ["none", "arrow"],
        edgeSymbolSize: 6,
        labelLayout: { hideOverlap: true },
        emphasis: { focus: "none", scale: false },
        // Nodes that are filtered out stay, without size, so that the others keep their places.
        data: state.names.map((name, rank) => {
          const [x, y] = state.places.get(name);
          const isVisible = visible.has(name);
          const inward = x < 0.2 ? "right" : x > 0.8 ? "left" : "bottom"; // so that no edge of a phone cuts it
          const side = isSmall ? inward : "bottom";
          const isLabelled = state.chosen === null ? rank < (isSmall ? LABELS / 2 : LABELS) : near.has(name);
          return {
            name,
            x: x * (width - 2 * margin),
            y: y * (height - 66),
            symbolSize: isVisible ? 8 + 26 * Math.sqrt(state.totals.get(name) / most) : 0,
            itemStyle: {
              color: name === state.chosen ? colour("c2") : colour("c1"),
              opacity: dim(name) ? 0.15 : 1,
              borderColor: colour("card"),
              borderWidth: 1.5,
            },
            label: {
              show: isVisible && isLabelled,
              position: side,
              distance: 3,
              color: colour("text"),
              fontSize: isSmall ? 11 : 12,
              formatter: () => name,
              textBorderColor: colour("card"),
              textBorderWidth: 3,
            },
          };
        }),
        links: edges.map(([source, target, weight]) => {
          const isNear = isChosen([source, target]);
          return {
            source,
            target,
            value: weight,
            lineStyle: {
              width: 5 - (4.2 * (heaviest - (drawable(weight) ?? 0))) / range,
              type: weight === WITHHELD ? "dashed" : "solid",
              color: isNear ? colour("c2") : colour("control"),
              opacity: state.chosen === null ? 0.5 : isNear ? 0.9 : 0.08,
              curveness: source === target ? 0 : 0.12,
            },
          };
        }),
      },
    ],
  });
}

function graphTip(state, dataType, item) {
  const label = state.drawn.measures[0].label;
  if (dataType === "edge") return tip(`${item.source} → ${item.target}`, [[label, told(item.value, state.kind)]]);
  const count = state.edges.filter((edge) => edge.slice(0, 2).includes(item.name)).length;
  return tip(item.name, [["Connections", exactly.format(count)]]);
}
