// Draws charts with uPlot: time on the x axis, bars on top of each other or lines. Colours are those of the
// page, figures and times are written by the rules of its language. Loaded by the first page with a chart.
import uPlot from "uplot";
import { pointer } from "./pointer.js";

const HEIGHT = 220;
/** Of a chart that has no legend of its own. */
const TALL = 300;
const PALETTE = ["1", "2", "3", "4", "5", "6", "7", "8"];

/** A chart inside an element: `draw(options)` as often as something changes, then `destroy()`. */
export function chart(element) {
  let plot;
  let options;
  const size = () => ({ width: Math.max(element.clientWidth, 120), height: options?.pointer ? TALL : HEIGHT });
  const observer = new ResizeObserver(() => plot?.setSize(size()));
  observer.observe(element);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const repaint = () => options && draw(options);
  dark.addEventListener("change", repaint);

  function draw(next) {
    options = next;
    plot?.destroy();
    plot = new uPlot(settings(element, options, size()), data(options), element);
  }
  function destroy() {
    observer.disconnect();
    dark.removeEventListener("change", repaint);
    plot?.destroy();
    plot = undefined;
  }
  return { draw, destroy };
}

/** uPlot wants columns; stacked ones are sums with all that come after, so that the tallest is drawn first. */
function data({ seconds, series, stacked }) {
  const values = series.map(([, list]) => list);
  if (!stacked) return [seconds, ...values];
  const sums = new Array(seconds.length).fill(0);
  const columns = values.reverse().map((list) => list.map((value, index) => (sums[index] += value ?? 0)));
  return [seconds, ...columns.reverse()];
}

function settings(element, options, size) {
  const { series, stacked, span, locale, step, seconds } = options;
  const colour = palette(element);
  const names = series.map((_, index) => options.tones[index] ?? PALETTE[index % PALETTE.length]);
  const write = span ? spans(locale) : counts(locale);
  const whole = whole_values(series, write);
  const times = dates(locale, step, seconds);
  const drawn = series.map(([label], index) => {
    const stroke = colour(`--chart-${names[index]}`);
    const shared = { label, value: (_plot, _raw, _series, at) => whole(index, at) };
    return stacked
      ? { ...shared, fill: stroke, stroke, width: 0, paths: uPlot.paths.bars({ size: [0.72, 48], radius: 0.12 }), points: { show: false } }
      : { ...shared, stroke, width: 2, fill: index === 0 && series.length === 1 ? colour("--chart-area") : undefined, points: { show: seconds.length < 3, size: 6, fill: stroke } };
  });
  const axis = { stroke: colour("--chart-ink"), font: `11px ${getComputedStyle(element).fontFamily}`, ticks: { show: false } };
  return {
    ...size,
    padding: [8, 8, 0, 0],
    cursor: { points: { show: !stacked, size: 8 }, x: true, y: false, drag: { x: false, y: false } },
    legend: options.pointer ? { show: false } : { live: true },
    plugins: options.pointer ? [pointer({ names: names.map((name) => `--chart-${name}`), labels: series.map(([label]) => label), values: series.map(([, list]) => list), write, time: times.full, total: stacked ? options.total : "" })] : [],
    scales: { x: { time: true, range: (_plot, from, to) => [from - step / 2, to + step / 2] }, y: { range: (_plot, _from, to) => [0, to > 0 ? to * 1.08 : 1] } },
    axes: [
      { ...axis, grid: { show: false }, space: 72, size: 28, values: (_plot, ticks) => ticks.map(times.tick) },
      { ...axis, grid: { stroke: colour("--chart-grid"), width: 1 }, size: (plot, values) => measured(plot, values), values: (_plot, ticks) => ticks.map((tick) => (Number.isInteger(tick) || span ? write(tick) : "")) },
    ],
    series: [{ value: (_plot, at) => (at == null ? "" : times.full(at)) }, ...drawn],
  };
}

/** As wide as the longest of its labels. */
function measured(plot, values) {
  const longest = (values ?? []).reduce((one, other) => (other.length > one.length ? other : one), "");
  plot.ctx.font = "11px sans-serif";
  return Math.ceil(plot.ctx.measureText(longest).width / devicePixelRatio) + 26;
}

/** Legends tell a series' own value, not the sum below it. */
function whole_values(series, write) {
  return (index, at) => {
    const value = at == null ? null : series[index][1][at];
    return value == null ? "—" : write(value);
  };
}

/** Custom properties as colours: they may be functions of the scheme, which only the browser resolves. */
function palette(element) {
  const probe = document.createElement("span");
  element.append(probe);
  const colour = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  queueMicrotask(() => probe.remove());
  return colour;
}

function counts(locale) {
  const small = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
  const large = new Intl.NumberFormat(locale, { notation: "compact", maximumSignificantDigits: 3 });
  return (value) => (Math.abs(value) < 1000 ? small : large).format(value);
}

function spans(locale) {
  const of = (unit, digits) => new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "narrow", maximumFractionDigits: digits });
  const units = [[60_000, of("minute", 1)], [1_000, of("second", 1)], [1, of("millisecond", 0)]];
  return (value) => {
    const [size, format] = units.find(([least]) => value >= least) ?? units[2];
    return format.format(value / size);
  };
}

function dates(locale, step, seconds) {
  // Days of statistics are days of UTC, whatever the time zone here.
  const zone = step >= 86_400 ? { timeZone: "UTC" } : {};
  const format = (fields) => new Intl.DateTimeFormat(locale, { hourCycle: "h23", ...zone, ...fields });
  const day = format({ month: "short", day: "numeric" });
  const time = format({ hour: "2-digit", minute: "2-digit" });
  const full = step >= 86_400 ? format({ dateStyle: "medium" }) : format({ month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
  const at = (formatter) => (second) => formatter.format(new Date(second * 1000));
  const tick = (second) => {
    const date = new Date(second * 1000);
    const midnight = date.getHours() === 0 && date.getMinutes() === 0;
    return (midnight || step >= 86_400 ? day : time).format(date);
  };
  return { tick, full: at(full) };
}
