// Draws the charts, with Apache ECharts. Loaded after the page can be read, and only where a page
// has a chart. Colours come from the page's own variables, so light and dark are one.
const dark = matchMedia("(prefers-color-scheme: dark)");
const STATES = { grafting: "growth", fossilized: "grown", culled: "warning" };
const drawn = new WeakMap();
let library = null;

export function drawCharts() {
  const boxes = document.querySelectorAll("[data-chart], [data-health]");
  for (const box of boxes) {
    const wanted = `${box.dataset.chart ?? box.dataset.health} ${box.dataset.version}`;
    if (drawn.get(box) === wanted) continue;
    drawn.set(box, wanted);
    // What could not be drawn is tried again with the next news.
    draw(box, wanted).catch(() => drawn.delete(box));
  }
}

dark.addEventListener("change", () => {
  document.querySelectorAll("[data-chart], [data-health]").forEach((box) => drawn.delete(box));
  drawCharts();
});

async function draw(box, wanted) {
  const [data, { echarts }] = await Promise.all([
    fetch(box.dataset.chart ?? box.dataset.health).then((answer) => answer.json()),
    (library ??= import("/assets/charts/index.js")),
  ]);
  // Something newer was asked for meanwhile, or nothing is to be drawn here any more.
  if (!box.isConnected || drawn.get(box) !== wanted) return;
  if (box.dataset.health) drawHealth(echarts, box, data);
  else show(echarts, box, runOption(data, box.clientWidth));
}

function drawHealth(echarts, box, data) {
  if (!data.charts.length) return;
  if (box.querySelectorAll(".mini").length !== data.charts.length) {
    box.replaceChildren(
      ...data.charts.map((chart) => {
        const figure = document.createElement("figure");
        const caption = document.createElement("figcaption");
        caption.textContent = chart.title;
        const mini = document.createElement("div");
        mini.className = "mini";
        figure.append(caption, mini);
        return figure;
      }),
    );
  }
  box.querySelectorAll(".mini").forEach((mini, index) => {
    const option = base({ ...data, ...data.charts[index], percent: false, log: false, unit: "" });
    option.grid = { left: 8, right: 24, top: 8, bottom: 4, containLabel: true };
    option.legend.show = false;
    show(echarts, mini, option);
  });
}

function show(echarts, element, option) {
  const chart = echarts.getInstanceByDom(element) ?? make(echarts, element);
  chart.setOption(option, { replaceMerge: ["series"] });
  element.dataset.drawn = element.dataset.chart ?? "yes";
}

function make(echarts, element) {
  const chart = echarts.init(element, null, { renderer: "canvas" });
  new ResizeObserver(() => chart.resize()).observe(element);
  return chart;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const resolve = (name) => {
  const value = colour(name);
  return value.startsWith("var(") ? colour(value.slice(6, -1)) : value;
};
const whole = new Intl.NumberFormat("en");

function written(value, data) {
  if (value === null || value === undefined) return "—";
  if (data.percent) return `${(100 * value).toFixed(1)} %`;
  const text = Math.abs(value) >= 1000 ? whole.format(Math.round(value)) : Number(value).toPrecision(3);
  return data.unit ? `${text} ${data.unit}` : text;
}

function base(data) {
  const ink = colour("ink"), muted = colour("muted"), line = colour("line");
  return {
    animation: false,
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    grid: { left: 8, right: 24, top: 52, bottom: 44, containLabel: true },
    legend: { top: 0, left: 0, textStyle: { color: muted }, itemHeight: 8, icon: "roundRect" },
    tooltip: {
      trigger: "axis", backgroundColor: colour("panel"), borderColor: line, textStyle: { color: ink },
      axisPointer: { lineStyle: { color: muted } },
      valueFormatter: (value) => written(value, data),
    },
    xAxis: {
      type: "value", min: 0, max: data.end || null, axisLine: { show: false }, axisTick: { show: false },
      splitLine: { show: false }, axisLabel: { color: muted, formatter: (v) => whole.format(v), hideOverlap: true },
    },
    yAxis: {
      type: data.log ? "log" : "value", scale: true, axisLine: { show: false }, axisTick: { show: false },
      splitLine: { lineStyle: { color: line } },
      axisLabel: { color: muted, formatter: (v) => (data.percent ? `${Math.round(100 * v)} %` : String(Number(v.toPrecision(3)))) },
    },
    series: data.series.map((one) => ({
      name: one.name, type: "line", showSymbol: one.points.length < 40, symbolSize: 5, lineStyle: { width: 2 },
      // A logarithm has no place for what is not above zero.
      data: data.log ? one.points.map(([x, y]) => [x, y > 0 ? y : null]) : one.points,
      color: resolve(one.role),
    })),
  };
}

function runOption(data, width) {
  const option = base(data);
  option.dataZoom = [
    { type: "inside", filterMode: "none", zoomOnMouseWheel: "shift" },
    { type: "slider", filterMode: "none", height: 18, bottom: 8, borderColor: "transparent", backgroundColor: colour("panel"),
      fillerColor: "rgba(128,140,160,.25)", handleSize: 16, textStyle: { color: colour("muted") }, brushSelect: false,
      labelFormatter: (value) => whole.format(Math.round(value)), showDataShadow: false },
  ];
  if (option.series.length) {
    option.series[0].markArea = {
      silent: true, itemStyle: { color: colour("control"), opacity: 0.13 },
      label: { color: colour("muted"), position: "insideTop", fontSize: 11 },
      data: data.races.map((race, index) => [{ xAxis: race.from, name: `race ${index + 1}` }, { xAxis: race.to }]),
    };
    option.series[0].markLine = {
      silent: true, symbol: "none",
      data: data.marks.map((mark, index) => ({
        xAxis: mark.step,
        lineStyle: { color: colour(STATES[mark.kind]), width: 1.6, type: mark.kind === "grafting" ? "dashed" : "solid" },
        label: {
          formatter: mark.label, color: colour(STATES[mark.kind]), position: "end", distance: 4 + 13 * (index % 2), fontSize: 11,
          align: mark.step > 0.7 * data.end ? "right" : "left", show: width > 500 || data.marks.length < 4,
        },
      })),
    };
  }
  if (!option.series.length) {
    option.title = { text: "Nothing measured yet", left: "center", top: "middle", textStyle: { color: colour("muted"), fontWeight: "normal", fontSize: 14 } };
  } else option.title = { text: "" };
  return option;
}
