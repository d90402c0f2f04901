// Charts: uPlot over the series of a page, which new points join as they come.
"use strict";

const Charts = (() => {
  let series = null; // {x: [seconds], step, span, values: {name: [...]}}
  let plots = [];

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const UNITS = {
    count: (v) => (v == null ? "" : Math.abs(v) >= 1e6 ? +(v / 1e6).toFixed(1) + " M" : Math.abs(v) >= 1e4 ? +(v / 1e3).toFixed(1) + " k" : String(+v.toFixed(v < 10 ? 2 : 0))),
    seconds: (v) => (v == null ? "" : v >= 3600 ? +(v / 3600).toFixed(1) + " h" : v >= 60 ? +(v / 60).toFixed(1) + " min" : v >= 1 ? +v.toFixed(1) + " s" : +(v * 1000).toFixed(1) + " ms"),
    bytes: (v) => (v == null ? "" : v >= 1048576 ? +(v / 1048576).toFixed(1) + " MB" : v >= 1024 ? +(v / 1024).toFixed(1) + " kB" : v + " B"),
  };

  const two = (number) => String(number).padStart(2, "0");

  // Times of day; days where the chart is longer than one.
  function times(_, splits) {
    const near = splits.length > 1 && splits[1] - splits[0] < 60;
    return splits.map((seconds) => {
      const at = new Date(seconds * 1000);
      const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
      if (series.span > 86400) return `${at.getDate()}.${at.getMonth() + 1}. ${clock === "00:00" ? "" : clock}`;
      return near ? `${clock}:${two(at.getSeconds())}` : clock;
    });
  }

  function data(names) {
    return [series.x, ...names.map((name) => series.values[name])];
  }

  function plot(place) {
    const lines = JSON.parse(place.dataset.lines); // [[name, label], ...]
    const unit = UNITS[place.dataset.unit || "count"];
    const colours = ["--line-1", "--line-2", "--line-3"].map(css);
    const axis = { stroke: css("--dim"), grid: { stroke: css("--edge"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const options = {
      width: place.clientWidth,
      height: 190,
      cursor: { sync: { key: "encola" }, points: { size: 6 } },
      legend: { live: true },
      scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
      axes: [{ ...axis, space: 80, values: times }, { ...axis, size: 56, values: (_, splits) => splits.map(unit) }],
      series: [
        { label: "time", value: "{HH}:{mm}:{ss}" },
        ...lines.map(([, label], index) => ({
          label,
          stroke: colours[index],
          width: 1.6,
          fill: index === 0 && lines.length === 1 ? colours[0] + "22" : undefined,
          points: { show: false },
          value: (_, v) => (v == null ? "–" : unit(v)),
        })),
      ],
    };
    const names = lines.map(([name]) => name);
    place.replaceChildren();
    return { place, names, plot: new uPlot(options, data(names), place) };
  }

  function draw() {
    const source = document.getElementById("series");
    if (!source) return;
    series = series || JSON.parse(source.textContent);
    plots.forEach((one) => one.plot.destroy());
    plots = [...document.querySelectorAll("[data-lines]")].map(plot);
  }

  // New points replace those of the same time, or follow; what is older than the chart's span leaves it.
  function add(more) {
    if (!series || more.step !== series.step) return;
    more.x.forEach((at, index) => {
      let place = series.x.length;
      while (place > 0 && series.x[place - 1] > at) place--;
      const known = place > 0 && series.x[place - 1] === at;
      if (known) place--;
      series.x.splice(place, known ? 1 : 0, at);
      for (const name in series.values) series.values[name].splice(place, known ? 1 : 0, more.values[name][index]);
    });
    const oldest = series.x.length ? series.x[series.x.length - 1] - series.span : 0;
    const old = series.x.findIndex((at) => at >= oldest);
    if (old > 0) {
      series.x.splice(0, old);
      for (const name in series.values) series.values[name].splice(0, old);
    }
    plots.forEach((one) => one.plot.setData(data(one.names)));
  }

  let resized = 0;
  window.addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(() => plots.forEach((one) => one.plot.setSize({ width: one.place.clientWidth, height: 190 })), 100);
  });

  return { draw, add, redraw: () => series && draw() };
})();
